"""What all agents of the benchmarks say, so that all servers send the same content."""

CHUNKS = 200
CHUNK = "forty bytes of an answer, to be counted "
ANSWER = "An answer of about a hundred bytes, as short as the answer of a small agent to a small question often is."
