"""Agent frameworks: in each a tool is listed and called, prints more than fits, is refused, and leaves something in the background.

What is looked at is what the framework would show its model. There is no model: those that cannot do without get one that says what a test wants.
"""

import asyncio
import contextlib
import json
import unittest

from agents import Agent, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.mcp import MCPServerStdio
from agents.models.interface import Model
from langchain_core.messages import ToolMessage
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.mcp import MCPToolset, StdioTransport
from pydantic_ai.messages import ModelResponse as PydanticResponse
from pydantic_ai.messages import TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from semantic_kernel import Kernel
from semantic_kernel.connectors.mcp import MCPStdioPlugin

from session import SERVER_ARGUMENTS, Folders, gone, launcher

set_tracing_disabled(True)

TOOLS = {"shell", "exec_command", "write_stdin", "read_output", "apply_patch", "background_list", "background_kill"}


class Scripted(Model):
    """For openai-agents: calls one tool, and has nothing to say about its result."""

    def __init__(self) -> None:
        self.wish = None
        self.names = set()

    async def get_response(self, system_instructions, input, model_settings, tools, *_positional, **_named):
        self.names = {tool.name for tool in tools}
        if self.wish is None:
            text = ResponseOutputText(text="done", type="output_text", annotations=[])
            said = ResponseOutputMessage(id="m", content=[text], role="assistant", status="completed", type="message")
        else:
            (name, arguments), self.wish = self.wish, None
            said = ResponseFunctionToolCall(call_id="c", name=name, arguments=json.dumps(arguments), type="function_call")
        return ModelResponse(output=[said], usage=Usage(), response_id=None)

    def stream_response(self, *_positional, **_named):
        raise NotImplementedError


@contextlib.asynccontextmanager
async def openai_agents(folders):
    params = {"command": launcher(), "args": SERVER_ARGUMENTS, "env": folders.environment}
    # Its own limit for a call is 5 s.
    async with MCPServerStdio(params=params, client_session_timeout_seconds=60) as server:
        model = Scripted()
        agent = Agent(name="agent", model=model, mcp_servers=[server])

        async def call(name, arguments):
            model.wish = (name, arguments)
            items = (await Runner.run(agent, "go")).new_items
            [output] = [item.output for item in items if item.type == "tool_call_output_item"]
            return output["text"]

        async def names():
            await Runner.run(agent, "go")
            return model.names

        yield names, call


@contextlib.asynccontextmanager
async def langchain(folders):
    server = {"transport": "stdio", "command": launcher(), "args": SERVER_ARGUMENTS, "env": folders.environment}
    async with MultiServerMCPClient({"shell": server}).session("shell") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}

        async def call(name, arguments):
            message = await tools[name].ainvoke({"type": "tool_call", "id": "c", "name": name, "args": arguments})
            assert isinstance(message, ToolMessage), message
            [item] = message.content
            return item["text"]

        async def names():
            return set(tools)

        yield names, call


@contextlib.asynccontextmanager
async def pydantic_ai(folders):
    wish = []
    seen = {}

    def model(messages, info):
        seen["names"] = {tool.name for tool in info.function_tools}
        if wish:
            name, arguments = wish.pop()
            return PydanticResponse(parts=[ToolCallPart(name, arguments)])
        seen["returned"] = [part.content for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
        return PydanticResponse(parts=[TextPart("done")])

    transport = StdioTransport(command=launcher(), args=SERVER_ARGUMENTS, env=folders.environment, keep_alive=False)
    agent = PydanticAgent(FunctionModel(model), toolsets=[MCPToolset(transport)])
    async with agent:

        async def call(name, arguments):
            wish.append((name, arguments))
            await agent.run("go")
            [returned] = seen["returned"]
            return returned if isinstance(returned, str) else json.dumps(returned)

        async def names():
            await agent.run("go")
            return seen["names"]

        yield names, call


@contextlib.asynccontextmanager
async def semantic_kernel(folders):
    plugin = MCPStdioPlugin(
        name="shell", command=launcher(), args=SERVER_ARGUMENTS, env=folders.environment, load_prompts=False
    )
    async with plugin:
        kernel = Kernel()
        kernel.add_plugin(plugin)

        async def call(name, arguments):
            result = await kernel.invoke(plugin_name="shell", function_name=name, **arguments)
            [item] = result.value
            return item.text

        async def names():
            return {metadata.name for metadata in kernel.get_full_list_of_function_metadata()}

        yield names, call


class Tests:
    """What holds for every framework."""

    framework = None

    @contextlib.asynccontextmanager
    async def connected(self):
        with Folders() as folders:
            async with asyncio.timeout(120), self.framework(folders) as (names, call):

                async def run(command, **more):
                    return json.loads(await call("shell", {"command": command, "login": False, **more}))

                yield folders, names, call, run

    async def test_it_lists_and_calls(self):
        async with self.connected() as (folders, names, _call, run):
            self.assertLessEqual(TOOLS, await names())
            result = await run("echo here; exit 3", workdir=str(folders.workdir))
            self.assertEqual((result["output"], result["exit_code"]), ("here\n", 3))
            self.assertEqual((await run("echo on"))["output"], "on\n", "without a folder")

    async def test_more_than_fits_is_shown_in_part_and_can_be_read(self):
        async with self.connected() as (_folders, _names, call, run):
            result = await run("seq 100000")
            self.assertTrue(result["output"].startswith("1\n2\n") and result["output"].endswith("99999\n100000\n"))
            part = json.loads(await call("read_output", {"id": result["output_id"], "grep": "^5432[0-1]$"}))
            self.assertEqual(part["output"], "54320\n54321\n")

    async def test_a_refusal_says_why(self):
        async with self.connected() as (folders, _names, _call, run):
            result = await run("touch made; echo on", workdir=str(folders.workdir))
            self.assertRegex(result["output"], r"(?s)^Execution denied: .*It makes a file\..* only a person can allow it.*on\n$")
            self.assertFalse((folders.workdir / "made").exists())

    async def test_what_is_left_in_the_background_is_listed_and_ended(self):
        async with self.connected() as (_folders, _names, call, run):
            pid = (await run("sleep 1000 > /dev/null 2>&1 & echo $!"))["output"].strip()
            [left] = json.loads(await call("background_list", {}))["calls"]
            self.assertEqual([str(process["pid"]) for process in left["processes"]], [pid])
            await call("background_kill", {"id": left["id"]})
            await gone(pid)


class OpenaiAgents(Tests, unittest.IsolatedAsyncioTestCase):
    framework = staticmethod(openai_agents)


class Langchain(Tests, unittest.IsolatedAsyncioTestCase):
    framework = staticmethod(langchain)


class PydanticAi(Tests, unittest.IsolatedAsyncioTestCase):
    framework = staticmethod(pydantic_ai)


class SemanticKernel(Tests, unittest.IsolatedAsyncioTestCase):
    framework = staticmethod(semantic_kernel)


if __name__ == "__main__":
    unittest.main()
