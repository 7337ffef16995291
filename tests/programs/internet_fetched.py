"""Servers of the small Internet that need libraries of a registry: gRPC at 50052, with TLS at 50053, and SSH at 2222.

`internet_fetched.py FOLDER` says `ready`. Whoever comes by SSH is let in and runs what it asks for: keys are tried elsewhere."""
import asyncio, concurrent.futures, sys

import asyncssh, grpc


class Anyone(asyncssh.SSHServer):
    def begin_auth(self, username):
        return False


async def run(process):
    pipe = asyncio.subprocess.PIPE
    command = await asyncio.create_subprocess_shell(process.command, stdin=pipe, stdout=pipe, stderr=pipe)
    await process.redirect(stdin=command.stdin, stdout=command.stdout, stderr=command.stderr)
    process.exit(await command.wait())


def read(name):
    with open(sys.argv[1] + "/" + name, "rb") as file:
        return file.read()


def greeter():
    greet = grpc.unary_unary_rpc_method_handler(lambda request, context: b"hello " + request)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Greeter", {"Greet": greet})])
    server.add_insecure_port("0.0.0.0:50052")
    certified = grpc.ssl_server_credentials([(read("key.pem"), read("certificate.pem"))])
    server.add_secure_port("0.0.0.0:50053", certified)
    return server


async def main():
    greeting = greeter()
    greeting.start()
    key = asyncssh.generate_private_key("ssh-ed25519")
    ssh = await asyncssh.listen("0.0.0.0", 2222, server_host_keys=[key], server_factory=Anyone, process_factory=run, encoding=None)
    print("ready", flush=True)
    await ssh.wait_closed()


asyncio.run(main())
