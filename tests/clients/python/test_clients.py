"""The Python SDK and fastmcp: each lists, calls, approves, declines, cancels, times out and disconnects, in both eras."""

import asyncio
import contextlib
import unittest

import fastmcp
import mcp
import mcp_types
from fastmcp.client.elicitation import ElicitResult as FastElicitResult
from fastmcp.client.transports import StdioTransport
from mcp.client.stdio import StdioServerParameters

from session import RUNNING, SERVER_ARGUMENTS, Folders, content, gone, launcher


class Sdk:
    """A session of the SDK's client."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    @contextlib.asynccontextmanager
    async def connect(self, folders, action, questions):
        async def answer(_context, params):
            questions.append(params.message)
            content = {"decision": "once"} if action == "accept" else None
            return mcp_types.ElicitResult(action=action, content=content)

        server = StdioServerParameters(command=launcher(), args=SERVER_ARGUMENTS, env=folders.environment)
        async with mcp.Client(server, mode=self.mode, elicitation_callback=answer) as client:

            async def run(command, **more):
                return await call("shell", folders.call(command, **more))

            async def call(tool, arguments):
                result = await client.call_tool(tool, arguments)
                assert not result.is_error, result
                return result.structured_content

            run.call = call

            async def tools():
                return [tool.name for tool in (await client.list_tools()).tools]

            yield run, tools, client.protocol_version


class Fast:
    """A session of fastmcp's client."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    @contextlib.asynccontextmanager
    async def connect(self, folders, action, questions):
        async def answer(message, _response_type, _params, _context):
            questions.append(message)
            content = {"decision": "once"} if action == "accept" else None
            return FastElicitResult(action=action, content=content)

        transport = StdioTransport(command=launcher(), args=SERVER_ARGUMENTS, env=folders.environment, keep_alive=False)
        async with fastmcp.Client(transport, mode=self.mode, elicitation_handler=answer) as client:

            async def run(command, **more):
                return await call("shell", folders.call(command, **more))

            async def call(tool, arguments):
                return (await client.call_tool(tool, arguments)).structured_content

            run.call = call

            async def tools():
                return [tool.name for tool in await client.list_tools()]

            yield run, tools, None


class Tests:
    """What holds for every client."""

    async def with_client(self, action, work):
        questions = []
        with Folders() as folders:
            async with asyncio.timeout(120), self.client.connect(folders, action, questions) as (run, tools, version):
                await work(folders, run, tools, version)
        return questions

    async def test_it_lists_calls_and_times_out(self):
        async def work(_folders, run, tools, version):
            self.assertIn("shell", await tools())
            self.assertEqual((await run("echo here"))["output"], "here\n")
            self.assertTrue((await run("sleep 60", timeout_ms=300))["timed_out"])
            if version is not None:
                self.assertEqual(version == "2026-07-28", self.client.mode == "auto", version)

        self.assertEqual(await self.with_client("decline", work), [])

    async def test_a_command_goes_on_is_written_to_and_ends(self):
        async def work(folders, run, tools, _version):
            self.assertTrue({"exec_command", "write_stdin"} <= set(await tools()))
            begin = {"cmd": "read -r line; echo got $line; exit 7", "workdir": str(folders.workdir), "login": False}
            going = await run.call("exec_command", {**begin, "tty": True, "yield_time_ms": 300})
            self.assertNotIn("exit_code", going)
            write = {"session_id": going["session_id"], "chars": "it\n", "yield_time_ms": 30000}
            ended = await run.call("write_stdin", write)
            self.assertEqual((ended["exit_code"], ended["output"]), (7, "it\ngot it\n"))
            whole = await run.call("read_output", {"id": going["output_id"]})
            self.assertEqual(whole["exit_code"], 7)

        self.assertEqual(await self.with_client("decline", work), [])

    async def test_what_is_accepted_runs_once(self):
        async def work(folders, run, _tools, _version):
            self.assertEqual((await run("echo started >> log; touch made; cat log"))["output"], "started\n")
            self.assertTrue((folders.workdir / "made").exists())

        [question] = await self.with_client("accept", work)
        self.assertIn("touch made", question)

    async def test_what_is_declined_or_cancelled_does_not_run(self):
        async def work(folders, run, _tools, _version):
            output = (await run("touch made; echo on"))["output"]
            self.assertRegex(output, r"(?s)^Execution denied: .*on\n$")
            self.assertFalse((folders.workdir / "made").exists())

        for action in ("decline", "cancel"):
            with self.subTest(action):
                self.assertEqual(len(await self.with_client(action, work)), 1)

    async def test_a_cancelled_call_ends_its_command(self):
        async def work(folders, run, _tools, _version):
            call = asyncio.ensure_future(run(RUNNING, timeout_ms=600_000))
            pid = await content(folders.workdir / "pid")
            call.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await call
            await gone(pid)
            self.assertEqual((await run("echo on"))["output"], "on\n")

        await self.with_client("accept", work)

    async def test_disconnecting_ends_a_running_command(self):
        with Folders() as folders:
            async with asyncio.timeout(120):
                async with self.client.connect(folders, "accept", []) as (run, _tools, _version):
                    call = asyncio.ensure_future(run(RUNNING, timeout_ms=600_000))
                    pid = await content(folders.workdir / "pid")
                await gone(pid)
                # It fails, as cancelled or as disconnected.
                await asyncio.gather(call, return_exceptions=True)


class SdkAuto(Tests, unittest.IsolatedAsyncioTestCase):
    client = Sdk("auto")


class SdkLegacy(Tests, unittest.IsolatedAsyncioTestCase):
    client = Sdk("legacy")


class FastAuto(Tests, unittest.IsolatedAsyncioTestCase):
    client = Fast("auto")


class FastLegacy(Tests, unittest.IsolatedAsyncioTestCase):
    client = Fast("legacy")


if __name__ == "__main__":
    unittest.main()
