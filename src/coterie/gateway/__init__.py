"""The gateway: methods and members behind the interfaces that people's programs already speak.

`app` says what stands where. A request comes through `guarded`, gets a place at the `desk`, and is read by its
interface: `chat`, `responses`, `messages` (and `embeddings`, which asks no member). Each makes a chat completion of it;
`orders` makes that a request to the committee, `asking` carries it there, `exchange` and `streaming` bring the answer
back. `keeping` has what outlives a request, `watching` those who are told of it, `published` the OpenAPI document,
`serving` the processes.

Nothing here calls a model: whatever is asked goes through the committee, and so through its limits, its trace and its
bill.
"""
