"""A model for ADK that speaks chat completions to the fake server, streamed or not."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from openai import AsyncOpenAI


class FakeLlm(BaseLlm):
    """`connection`: to the fake server. Calls come whole, words one by one."""

    model: str = "fake-model"
    connection: Any = None

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        connection: AsyncOpenAI = self.connection
        config, text = llm_request.config, ""
        options: dict[str, Any] = {"tools": [_tool(one) for tool in config.tools or [] for one in _declared(tool)]}
        if config.response_schema is not None:
            form = {"name": "answer", "schema": config.response_schema.model_json_schema()}
            options["response_format"] = {"type": "json_schema", "json_schema": form}
        messages = [message for content in llm_request.contents for message in _messages(content)]
        answer = await connection.chat.completions.create(
            model=self.model, messages=messages, stream=True, stream_options={"include_usage": True},
            **{name: value for name, value in options.items() if value},
        )  # fmt: skip
        calls: dict[int, list[str]] = {}
        usage: Any = None
        async with answer, aclosing(aiter(answer)) as chunks:
            async for chunk in chunks:
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    for call in choice.delta.tool_calls or []:
                        held = calls.setdefault(call.index, [call.id or "", call.function.name or "", ""])
                        held[2] += call.function.arguments or ""
                    if choice.delta.content:
                        text += choice.delta.content
                        if stream:
                            yield LlmResponse(content=_said(types.Part(text=choice.delta.content)), partial=True)
        parts = [types.Part(text=text)] if text else []
        for call_id, name, arguments in calls.values():
            made = types.FunctionCall(id=call_id, name=name, args=json.loads(arguments))
            parts.append(types.Part(function_call=made))
        counted = types.GenerateContentResponseUsageMetadata(
            prompt_token_count=usage.prompt_tokens, candidates_token_count=usage.completion_tokens
        )
        yield LlmResponse(content=_said(*parts), usage_metadata=counted, model_version=self.model)


def _said(*parts: types.Part) -> types.Content:
    return types.Content(role="model", parts=list(parts))


def _declared(tool: Any) -> list[Any]:
    return tool.function_declarations or []


def _tool(declared: Any) -> dict[str, Any]:
    schema = declared.parameters_json_schema or (
        declared.parameters.model_dump(mode="json", exclude_none=True) if declared.parameters else {"type": "object"}
    )
    function = {"name": declared.name, "description": declared.description or "", "parameters": schema}
    return {"type": "function", "function": function}


def _messages(content: types.Content) -> list[dict[str, Any]]:
    pieces: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for part in content.parts or []:
        if part.text is not None:
            pieces.append({"type": "text", "text": part.text})
        elif part.inline_data is not None:
            data = part.inline_data.model_dump(mode="json")["data"].replace("-", "+").replace("_", "/")
            pieces.append(
                {"type": "image_url", "image_url": {"url": f"data:{part.inline_data.mime_type};base64,{data}"}}
            )
        elif (call := part.function_call) is not None:
            function = {"name": call.name, "arguments": json.dumps(call.args or {})}
            calls.append({"id": call.id, "type": "function", "function": function})
        elif (response := part.function_response) is not None:
            found = response.response or {}
            told = found["result"] if set(found) == {"result"} else found
            text = told if isinstance(told, str) else json.dumps(told)
            results.append({"role": "tool", "tool_call_id": response.id, "content": text})
    role = "assistant" if content.role == "model" else "user"
    if calls:
        return [{"role": role, "content": pieces or None, "tool_calls": calls}]
    if role == "assistant":
        return [{"role": role, "content": "".join(piece["text"] for piece in pieces)}]
    return [*results, *([{"role": role, "content": pieces}] if pieces else [])]
