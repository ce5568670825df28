"""Batches: a method, or any model of the gateway's, over a file of many rows, resumable at any moment.

`sources` reads JSON Lines and Parquet block by block, `questions` makes a chat completion of a row, `asking` asks it,
`journals` keep what has finished beside the output, `running` holds so many rows under way as may be, here or inside
each of `on_ray`'s actors, and `merging` writes the output in the input's order once every row has ended.
"""
