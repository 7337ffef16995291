"""An Internet in small: servers of many kinds for one name, with a certificate of an authority of their own.

`internet.py FOLDER` makes what they serve in the folder, with `ca.pem`, and says `ready`. Everything is small enough to be made
anew for each test."""
import base64, hashlib, http.server, io, json, os, socket, socketserver, ssl, subprocess, sys, tarfile, threading, zipfile

NAME = "good.test"
# A program with more servers, with its first words, if a test has one.
MORE = []
URL = "https://" + NAME


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certify():
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("openssl", "req", "-x509", *key, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=a test's",
        "-addext", "keyUsage=keyCertSign")
    run("openssl", "req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=" + NAME)
    write("extensions", f"subjectAltName=DNS:{NAME}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:false\n")
    run("openssl", "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "extensions", "-out", "certificate.pem")


def write(path, data):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def registries():
    package = tar({"package/package.json": '{"name": "tiny", "version": "1.0.0"}', "package/index.js": ""})
    dist = {"tarball": URL + "/npm/tiny.tgz", "shasum": hashlib.sha1(package).hexdigest(),
            "integrity": "sha512-" + base64.b64encode(hashlib.sha512(package).digest()).decode()}
    version = {"name": "tiny", "version": "1.0.0", "dist": dist}
    write("www/npm/tiny.tgz", package)
    write("www/npm/tiny", json.dumps({"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}))
    info = "tiny-1.dist-info/"
    write("www/pip/tiny/tiny-1-py3-none-any.whl", zipped({
        "tiny.py": "", info + "METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n", info + "RECORD": "",
        info + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}))
    write("www/pip/tiny/index.html", '<a href="tiny-1-py3-none-any.whl">tiny-1-py3-none-any.whl</a>')
    crate = tar({"tiny-1.0.0/Cargo.toml": '[package]\nname = "tiny"\nversion = "1.0.0"\n', "tiny-1.0.0/src/lib.rs": ""})
    write("www/cargo/dl/tiny-1.0.0.crate", crate)
    write("www/cargo/config.json", json.dumps({"dl": URL + "/cargo/dl/{crate}-{version}.crate"}))
    write("www/cargo/ti/ny/tiny", json.dumps({"name": "tiny", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False,
                                              "cksum": hashlib.sha256(crate).hexdigest()}) + "\n")
    module = "www/go/example.org/tiny/@v/"
    write(module + "list", "v1.0.0\n")
    write(module + "v1.0.0.info", '{"Version": "v1.0.0"}')
    write(module + "v1.0.0.mod", "module example.org/tiny\n")
    inside = "example.org/tiny@v1.0.0/"
    write(module + "v1.0.0.zip", zipped({inside + "go.mod": "module example.org/tiny\n", inside + "t.go": "package tiny\n"}))
    write("www/index.html", "hello\n")


def repository():
    run("git", "init", "-q", "-b", "main", "work")
    run("git", "-C", "work", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "hello")
    run("git", "clone", "-q", "--bare", "work", "www/hello.git")
    run("git", "-C", "www/hello.git", "update-server-info")


class Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *words):
        super().__init__(*words, directory="www")

    def log_message(self, *_):
        pass


class Redis(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            if line.strip().upper() == b"PING":
                self.wfile.write(b"+PONG hello\r\n")


class Postgres(socketserver.StreamRequestHandler):
    """As much of the protocol as one `select` needs, without TLS."""

    def say(self, kind, body):
        self.wfile.write(kind + (len(body) + 4).to_bytes(4, "big") + body)

    def hear(self):
        return self.rfile.read(int.from_bytes(self.rfile.read(4), "big") - 4)

    def handle(self):
        # TLS and GSSAPI are asked for first.
        while int.from_bytes(self.hear()[:4], "big") in (80877103, 80877104):
            self.wfile.write(b"N")
        self.say(b"R", bytes(4))
        self.say(b"S", b"server_version\x0015.0\0")
        self.say(b"S", b"client_encoding\0UTF8\0")
        self.say(b"Z", b"I")
        while self.rfile.read(1) == b"Q":
            self.hear()
            text = (25).to_bytes(4, "big") + b"\xff" * 6 + bytes(2)
            self.say(b"T", b"\0\1greeting\0" + bytes(6) + text)
            self.say(b"D", b"\0\1" + (5).to_bytes(4, "big") + b"hello")
            self.say(b"C", b"SELECT 1\0")
            self.say(b"Z", b"I")


class Ssh(socketserver.StreamRequestHandler):
    """Its first words."""

    def handle(self):
        self.wfile.write(b"SSH-2.0-hello\r\n")
        self.rfile.readline()


class Http2(socketserver.StreamRequestHandler):
    """Enough of HTTP/2 without TLS for one request: fields without a table, one frame of content."""

    def frame(self, kind, flags, stream, content):
        self.wfile.write(len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content)

    def handle(self):
        if len(self.rfile.read(24)) < 24:
            return
        self.frame(4, 0, 0, b"")
        while len(header := self.rfile.read(9)) == 9:
            content = self.rfile.read(int.from_bytes(header[:3], "big"))
            kind, flags, stream = header[3], header[4], int.from_bytes(header[5:], "big")
            if kind == 4 and not flags & 1:
                self.frame(4, 1, 0, b"")
            if kind == 1 and content:
                # `:status: 200` of the static table.
                self.frame(1, 4, stream, b"\x88")
                self.frame(0, 1, stream, b"hello\n")


class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


def main():
    os.chdir(sys.argv[1])
    certify()
    registries()
    repository()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("certificate.pem", "key.pem")
    secure = http.server.ThreadingHTTPServer(("0.0.0.0", 443), Files)
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    kinds = {22: Ssh, 5432: Postgres, 6379: Redis, 50051: Http2}
    servers = [secure, http.server.ThreadingHTTPServer(("0.0.0.0", 80), Files)]
    servers += [Threads(("0.0.0.0", port), kind) for port, kind in kinds.items()]
    for server in servers:
        threading.Thread(target=server.serve_forever).start()
    if MORE:
        more = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *MORE, os.getcwd()], stdout=subprocess.PIPE)
        assert more.stdout.readline() == b"ready\n"
    print("ready", flush=True)


main()
