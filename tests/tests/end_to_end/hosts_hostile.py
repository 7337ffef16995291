# What a hostile program says inside a connection to a host that is allowed: hosts_hostile.py KIND NAME, where NAME is what it
# asks for by then. Prints what it heard, or how the connection ended.
import errno, socket, struct, sys, time

GOOD = b"good.test"


def sized(length, data):
    return len(data).to_bytes(length, "big") + data


def extension(kind, data):
    return struct.pack(">H", kind) + sized(2, data)


def names(*listed):
    return extension(0, sized(2, b"".join(b"\0" + sized(2, name) for name in listed)))


def hello(*extensions):
    body = b"\3\3" + bytes(32) + b"\0" + sized(2, b"\x13\1") + b"\1\0"
    body += sized(2, extension(43, b"\2\3\4") + b"".join(extensions))
    return b"\1" + sized(3, body)


def record(message):
    return b"\x16\3\1" + sized(2, message)


def request(host, line=b"GET / HTTP/1.1", more=b"", body=b""):
    return line + b"\r\nHost: " + host + b"\r\n" + more + b"\r\n" + body


def frame(kind, flags, data, stream=1):
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data


def field(name, value):
    return b"\0" + sized(1, name) + sized(1, value)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, b"", 0)
# :method GET, :scheme http, :path / of the static table.
START = b"\x82\x86\x84"
WAIT = object()
TLS, HTTP, HTTP2 = 443, 80, 7777


def single(data):
    return [bytes([byte]) for byte in data]


def kinds(name):
    return {
        "hello": (TLS, [record(hello(names(name)))]),
        "hello byte by byte": (TLS, single(record(hello(names(name))))),
        "hello in records of one byte": (TLS, [b"".join(map(record, single(hello(names(name)))))]),
        "hello in two records, after a pause": (TLS, [record(hello(names(name))[:60]), record(hello(names(name))[60:])]),
        "hello after a warning": (TLS, [b"\x15\3\1\0\2\1\x5a" + record(hello(names(name)))]),
        "second hello": (TLS, [record(hello(names(GOOD))), WAIT, b"\x14\3\3\0\1\1" + record(hello(names(name)))]),
        "second hello at once": (TLS, [record(hello(names(GOOD))) + record(hello(names(name)))]),
        "upper case with a dot": (TLS, [record(hello(names(name.upper() + b".")))]),
        "two names": (TLS, [record(hello(names(GOOD, name)))]),
        "two extensions": (TLS, [record(hello(names(GOOD), names(name)))]),
        "outer name of an encrypted hello": (TLS, [record(hello(extension(0xFE0D, bytes(200)), names(name)))]),
        "host": (HTTP, [request(name)]),
        "host byte by byte": (HTTP, single(request(name))),
        "host with a port": (HTTP, [request(name + b":80")]),
        "two hosts": (HTTP, [request(GOOD, more=b"Host: " + name + b"\r\n")]),
        "absolute form": (HTTP, [request(GOOD, b"GET http://" + name + b"/ HTTP/1.1")]),
        "tunnel": (HTTP, [request(GOOD, b"CONNECT " + name + b":443 HTTP/1.1")]),
        "second request": (HTTP, [request(GOOD) + request(name)]),
        "second request after the answer": (HTTP, [request(GOOD), WAIT, request(name)]),
        "after an upgrade that was not made": (
            HTTP,
            [request(GOOD, more=b"Connection: upgrade\r\nUpgrade: websocket\r\n"), WAIT, request(name)],
        ),
        "after content": (HTTP, [request(GOOD, b"POST / HTTP/1.1", b"Content-Length: 2\r\n", b"ab") + request(name)]),
        "after chunks": (
            HTTP,
            [request(GOOD, b"POST / HTTP/1.1", b"Transfer-Encoding: chunked\r\n", b"1\r\na\r\n0\r\n\r\n") + request(name)],
        ),
        "two lengths": (
            HTTP,
            [request(GOOD, b"POST / HTTP/1.1", b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n") + request(name)],
        ),
        "lines without a return": (HTTP, [b"GET / HTTP/1.1\nHost: " + name + b"\n\n"]),
        "authority": (HTTP2, [PREFACE, WAIT, frame(1, 5, START + field(b":authority", name))]),
        "authority byte by byte": (HTTP2, [PREFACE, WAIT, *single(frame(1, 5, START + field(b":authority", name)))]),
        "authority in a continuation": (
            HTTP2,
            [PREFACE, WAIT, frame(1, 1, START) + frame(9, 4, field(b":authority", name))],
        ),
        "host of HTTP/2": (
            HTTP2,
            [PREFACE, WAIT, frame(1, 5, START + field(b":authority", GOOD) + field(b"host", name))],
        ),
        "second stream": (
            HTTP2,
            [PREFACE, WAIT, frame(1, 5, START + field(b":authority", GOOD)) + frame(1, 5, START + field(b":authority", name), 3)],
        ),
    }


def attempt(port, says):
    with socket.create_connection(("good.test", port), 20) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in says:
                if piece is WAIT:
                    stream.recv(4096)
                else:
                    stream.sendall(piece)
            stream.shutdown(socket.SHUT_WR)
            while stream.recv(4096):
                pass
            return "ended"
        except OSError as error:
            # What is reset by then cannot be shut down.
            return "ConnectionResetError" if error.errno == errno.ENOTCONN else type(error).__name__


for kind, (port, says) in kinds(sys.argv[1].encode()).items():
    print(kind + ":", attempt(port, says), flush=True)
