"""The gateway: methods and members behind the interfaces that people's programs already speak.

`app` puts the routes together and `serving` runs them; `catalog` says which models there are, `chat_request`
reads what a client asks, `orders` makes a request to the committee of it, `asking` carries it there, and `chat`
answers, whole or through `chat_stream`. Nothing here calls a model: whatever is asked goes through the committee,
and so through its limits, its trace and its bill.
"""
