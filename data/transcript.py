"""The one canonical conversation type: strict, frozen, validated at the border and trusted inside.

The JSON form of a row is `{id, source, license, tools, messages, meta}` with OpenAI-style tools and tool calls; a call's
`arguments` is an object.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Json = dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Function(_Strict):
    """A tool's signature; `parameters` is a JSON Schema of type object."""

    name: str = Field(min_length=1)
    description: str = ""
    parameters: Json = Field(default_factory=lambda: {"type": "object", "properties": {}})


class Tool(_Strict):
    type: Literal["function"] = "function"
    function: Function


class FunctionCall(_Strict):
    name: str = Field(min_length=1)
    arguments: Json


class ToolCall(_Strict):
    id: str | None = None
    type: Literal["function"] = "function"
    function: FunctionCall


class SystemMessage(_Strict):
    role: Literal["system"]
    content: str


class UserMessage(_Strict):
    role: Literal["user"]
    content: str


class AssistantMessage(_Strict):
    """`reasoning_content` is the text of a think block, without its tokens."""

    role: Literal["assistant"]
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] = []


class ToolMessage(_Strict):
    role: Literal["tool"]
    content: str
    tool_call_id: str | None = None
    name: str | None = None


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Transcript(_Strict):
    """One conversation with the tools that it offers."""

    id: str = Field(min_length=1)
    source: str = ""
    license: str = ""
    tools: list[Tool] = []
    messages: list[Message] = Field(min_length=1)
    meta: Json = Field(default_factory=dict)

    def chat(self) -> list[Json]:
        """The messages as a chat template takes them: dicts without empty fields."""
        return [chat_message(message) for message in self.messages]

    def tool_dicts(self) -> list[Json] | None:
        return [tool.model_dump() for tool in self.tools] or None

    def reasons(self) -> bool:
        """Whether the assistant reasons in any turn; a conversation without reasoning is rendered in the no-thinking mode."""
        return any(message.reasoning_content for message in self.messages if isinstance(message, AssistantMessage))

    def calls(self) -> list[FunctionCall]:
        """Every call of the conversation, in order."""
        return [call.function for message in self.messages if isinstance(message, AssistantMessage) for call in message.tool_calls]


def chat_message(message: BaseModel) -> Json:
    """One message as a dict; `content` is always present, other fields only when set."""
    fields = message.model_dump(exclude_none=True)
    if not fields.get("tool_calls", True):
        del fields["tool_calls"]
    return {"content": "", **fields}
