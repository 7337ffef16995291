"""The client of Kubernetes' agent-sandbox, in direct mode, against a server behind HTTP."""

import datetime
import io
import pathlib
import subprocess
import tempfile
import unittest

from k8s_agent_sandbox.exceptions import SandboxRequestError
from k8s_agent_sandbox.models import SandboxDirectConnectionConfig
from k8s_agent_sandbox.sandbox import Sandbox

from session import Folders, launcher

RULES = 'prefix_rule(pattern=["touch"], decision="forbidden", justification="makes files")\n'


class NoKubernetes:
    """There is no cluster to ask."""

    def get_sandbox(self, _name, _namespace):
        return {}


class Runtime(unittest.TestCase):
    def setUp(self):
        self.folders = self.enterContext(Folders())
        rules = pathlib.Path(self.folders.environment["CODEX_HOME"], "rules/default.rules")
        rules.write_text(RULES)
        self.server = subprocess.Popen(
            [launcher(), "serve", "--http", "127.0.0.1:0"],
            env=self.folders.environment,
            cwd=self.folders.workdir,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.end)
        url = self.server.stdout.readline().strip().replace("/mcp/", "/runtime/")
        self.sandbox = Sandbox(
            "claim", "sandbox", connection_config=SandboxDirectConnectionConfig(api_url=url), k8s_helper=NoKubernetes()
        )
        self.addCleanup(self.sandbox.close_connection)

    def end(self):
        self.server.terminate()
        self.server.wait()
        self.server.stdout.close()

    def test_commands(self):
        run = self.sandbox.commands.run
        result = run("echo out; echo err >&2; exit 3")
        self.assertEqual((result.stdout, result.stderr, result.exit_code), ("out\n", "err\n", 3))
        self.assertFalse(result.timed_out)
        result = run("sleep 1000", command_timeout=1)
        self.assertTrue(result.timed_out)
        result = run("touch x")
        self.assertNotEqual(result.exit_code, 0)
        self.assertIn("makes files", result.stderr)

    def test_files(self):
        files = self.sandbox.files
        content = bytes(range(256)) * 4096
        files.write("new/folder/file.bin", content)
        files.write("new/stream.txt", io.BytesIO(b"streamed"))
        self.assertEqual(files.read("new/folder/file.bin"), content)
        self.assertEqual(files.read("new/stream.txt"), b"streamed")
        (folder, stream) = files.list("new")
        self.assertEqual((folder.name, folder.type), ("folder", "directory"))
        self.assertEqual((stream.name, stream.type, stream.size), ("stream.txt", "file", 8))
        age = datetime.datetime.now(datetime.timezone.utc) - stream.modified
        self.assertLess(abs(age), datetime.timedelta(hours=1))
        self.assertIn("new", [entry.name for entry in files.list(".")])
        self.assertTrue(files.exists("new/stream.txt"))
        self.assertFalse(files.exists("nothing"))
        self.assertEqual(self.sandbox.commands.run("cat new/stream.txt").stdout, "streamed")
        self.assertEqual(pathlib.Path(self.folders.workdir, "new/stream.txt").read_bytes(), b"streamed")
        with self.assertRaises(SandboxRequestError):
            files.read("nothing")

    def test_the_way_out_is_closed(self):
        with tempfile.TemporaryDirectory(dir=pathlib.Path.home(), prefix="shell-tool-mcp-client-") as outside:
            target = pathlib.Path(outside, "file")
            with self.assertRaises(SandboxRequestError):
                self.sandbox.files.write(str(target), b"x", allow_unsafe_paths=True)
            self.assertFalse(target.exists())


if __name__ == "__main__":
    unittest.main()
