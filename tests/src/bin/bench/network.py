# A server and its client. The same client runs beside the server, and as a command of a sandbox.
import json, os, resource, select, socket, ssl, sys, threading, time

HANDSHAKES, QUESTIONS, CROWD = 60, 400, 1000
TLS, DATA, ECHO = 443, 8000, 8080
BLOCK, BLOCKS = 1 << 20, 1 << 10

most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
now = time.perf_counter


def serve(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def greet(stream):
        with context.wrap_socket(stream, server_side=True) as stream:
            stream.recv(1)

    def move(stream):
        if stream.recv(1) == b"d":
            block = bytes(BLOCK)
            for _ in range(BLOCKS):
                stream.sendall(block)
        else:
            block = bytearray(BLOCK)
            while stream.recv_into(block):
                pass
            stream.sendall(b"k")

    def each(port, answer):
        def attend(stream):
            with stream:
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                answer(stream)

        listener = socket.create_server(("0.0.0.0", port), backlog=128)
        while True:
            threading.Thread(target=attend, args=(listener.accept()[0],), daemon=True).start()

    def echo():
        listener = socket.create_server(("0.0.0.0", ECHO), backlog=2 * CROWD)
        poll, open_ones = select.epoll(), {}
        poll.register(listener, select.EPOLLIN)
        while True:
            for number, _ in poll.poll():
                if number == listener.fileno():
                    stream = listener.accept()[0]
                    open_ones[stream.fileno()] = stream
                    poll.register(stream, select.EPOLLIN)
                    continue
                said = open_ones[number].recv(1)
                if said:
                    open_ones[number].send(said)
                else:
                    open_ones.pop(number).close()

    for task in (lambda: each(TLS, greet), lambda: each(DATA, move), echo):
        threading.Thread(target=task, daemon=True).start()
    time.sleep(0.2)
    print("ready", flush=True)
    sys.stdin.read()


def handshakes(address, certificate):
    context, times = ssl.create_default_context(cafile=certificate), []
    for _ in range(HANDSHAKES):
        begin = now()
        with socket.create_connection((address, TLS)) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(plain, server_hostname="good.test"):
                times.append(now() - begin)
    return times


def download(address, _):
    with socket.create_connection((address, DATA)) as stream:
        begin, block, all_of_it = now(), bytearray(BLOCK), 0
        stream.sendall(b"d")
        while length := stream.recv_into(block):
            all_of_it += length
        assert all_of_it == BLOCK * BLOCKS
        return [now() - begin]


def upload(address, _):
    with socket.create_connection((address, DATA)) as stream:
        begin, block = now(), bytes(BLOCK)
        stream.sendall(b"u")
        for _ in range(BLOCKS):
            stream.sendall(block)
        stream.shutdown(socket.SHUT_WR)
        assert stream.recv(1) == b"k"
        return [now() - begin]


def crowd(address, _):
    begin, poll, all_of_them, answered = now(), select.epoll(), {}, 0
    for _ in range(CROWD):
        stream = socket.socket()
        stream.setblocking(False)
        stream.connect_ex((address, ECHO))
        all_of_them[stream.fileno()] = stream
        poll.register(stream, select.EPOLLOUT)
    while answered < CROWD:
        for number, events in poll.poll():
            stream = all_of_them[number]
            if events & select.EPOLLOUT:
                stream.send(b"x")
                poll.modify(stream, select.EPOLLIN)
            else:
                assert stream.recv(1) == b"x"
                poll.unregister(stream)
                answered += 1
    return [now() - begin]


def names(_, __):
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0\4good\4test\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(("127.0.0.1", 53))
        times = []
        for _ in range(QUESTIONS):
            begin = now()
            asker.send(question)
            asker.recv(512)
            times.append(now() - begin)
        return times


if sys.argv[1] == "serve":
    serve(*sys.argv[2:])
else:
    what, certificate, result = sys.argv[1:]
    address = socket.getaddrinfo("good.test", TLS, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    times = globals()[what](address, certificate)
    with open(result, "w") as file:
        json.dump(times, file)
