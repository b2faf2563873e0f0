"""Two agents work together: one writes code and calls tools, the other runs the code in a sandbox.

No model is needed: a script speaks for it. The sandbox needs Linux and `pip install "a2a-agent-bridge[sandbox]"`; where
it cannot be had, nothing is run and the conversation says why.

Run it: python examples/tools_and_code.py
"""

from typing import Annotated

from a2a_bridge import AssistantAgent, UserProxyAgent
from a2a_bridge.agent import ToolCall
from a2a_bridge.chat.tools import tool
from a2a_bridge.testing.model import ScriptedModel

CODE = """The mean is computed like this:
```python
numbers = [3, 5, 10]
print("mean", sum(numbers) / len(numbers))
open("numbers.csv", "w").write("\\n".join(map(str, numbers)))
```"""


@tool(timeout=5, approval=lambda call: call.arguments["city"] != "Atlantis")
def inhabitants(city: Annotated[str, "The name of the city."]) -> int:
    """How many people live in a city."""
    return {"Durban": 3_200_000, "Gqeberha": 970_000}[city]


def main() -> None:
    script = ScriptedModel([ToolCall("1", "inhabitants", {"city": "Durban"}), CODE, "TERMINATE"])
    coder = AssistantAgent("coder", llm_config=script, tools=[inhabitants])
    runner = UserProxyAgent("runner", human_input_mode="NEVER", code_execution_config={"use_docker": False})
    result = runner.initiate_chat(coder, message="How many people live in Durban? Then compute a mean.")
    print(f"stopped: {result.stop.kind}")


if __name__ == "__main__":
    main()
