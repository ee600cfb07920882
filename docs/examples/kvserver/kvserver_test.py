#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A key-value server: what it answers, and that it gives its memory back.

usage: kvserver_test.py SERVER LOAD FLAVOUR
"""

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SERVER, LOAD, FLAVOUR = sys.argv[1:4]
GET, SET, ADD, DEL, STATS = range(1, 6)
OK, MISSING, NO_MEMORY, NO_NUMBER, BAD = range(5)
VALUE_MAX = 4096
DEADLINE_S = 30


def request(op, key=0, value=b""):
    return struct.pack("<IIQ", op, len(value), key) + value


def has_shadow():
    """AddressSanitizer's shadow is above every limit of memory."""
    with open(SERVER, "rb") as f:
        return b"__asan_init" in f.read()


class Client:
    """One connection, without any check."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(path)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def answer(self):
        status, length = struct.unpack("<II", self.receive(8))
        return status, self.receive(length)

    def ask(self, *args):
        self.send(request(*args))
        return self.answer()

    def stats(self):
        _, text = self.ask(STATS)
        return {name: int(value) for name, value in
                (row.split() for row in text.decode().splitlines())}

    def close(self):
        self.socket.close()


class Server:
    """A running server; what it has said is in self.log after stop()."""

    def __init__(self, address, limit=None, env=None):
        self.log = ""
        # No buffer here, in which wait() would miss what follows the line.
        self.process = subprocess.Popen(
            [SERVER, "--listen", address], stderr=subprocess.PIPE, bufsize=0,
            env={**os.environ, **(env or {})}, preexec_fn=limit)
        self.first = self.process.stderr.readline().decode()

    def wait(self):
        _, log = self.process.communicate(timeout=DEADLINE_S)
        self.log = log.decode()
        return self.process.returncode

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.wait()

    def figure(self, name):
        return int(re.search(r"kvserver: %s (\d+)$" % name, self.log,
                             re.MULTILINE).group(1))


class ServerCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="kv")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "s")

    def start(self, address=None, **more):
        server = Server(address or self.path, **more)
        self.addCleanup(server.process.kill)
        self.assertEqual(server.first, "kvserver: %s, listening on %s\n"
                         % (FLAVOUR, address or self.path))
        return server

    def stop(self, server):
        """All is given back, and nothing waits."""
        self.assertEqual(server.stop(), 0, server.log)
        self.assertIn("kvserver: all memory was given back\n", server.log)
        self.assertEqual(server.figure("rcu_queued"),
                         server.figure("rcu_freed"))
        self.assertFalse(os.path.exists(self.path))

    def client(self):
        client = Client(self.path)
        self.addCleanup(client.close)
        return client

    @contextlib.contextmanager
    def session(self, **more):
        server = self.start(**more)
        yield server
        self.stop(server)


def load(address, *args):
    return subprocess.run([LOAD, "--connect", address, *args],
                          capture_output=True, text=True, check=False,
                          timeout=DEADLINE_S)


class Load(ServerCase):
    def check(self, address, *args, clients):
        done = load(address, "--clients=%d" % clients, *args)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertRegex(done.stdout, r"(?m)^server: rss_bytes \d+$")
        self.assertRegex(done.stdout, r"(?m)^server: rcu_queued [1-9]\d*$")
        self.assertRegex(done.stdout, r"\n\d+ operations of %d clients, "
                         r"\d+ a second, all verified\n$" % clients)

    def test_all_is_verified(self):
        with self.session() as server:
            self.check(self.path, "--ops=10000", clients=4)
        self.assertGreater(server.figure("rcu_queued"), 4000)

    def test_few_keys_and_many_clients(self):
        with self.session():
            self.check(self.path, "--ops=500", "--keys=2", "--sets=70",
                       "--bytes=4096", clients=24)

    def test_with_a_small_budget(self):
        """kfree_rcu() sleeps, but in QSBR, where its callers are online."""
        env = {"KNUMA_RCU_BUDGET": "16K", "KNUMA_RCU_FULL": "grow"}
        with self.session(env=env):
            self.check(self.path, "--ops=5000", "--sets=70", clients=4)

    def test_twice(self):
        with self.session():
            self.check(self.path, "--ops=500", clients=2)
            self.check(self.path, "--ops=500", clients=3)

    def test_over_tcp(self):
        with contextlib.closing(socket.socket()) as s:
            s.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % s.getsockname()[1]
        with self.session(address=address):
            self.check(address, "--ops=1000", clients=2)

    def test_on_two_nodes(self):
        with self.session(env={"KNUMA_FAKE_NODES": "2"}) as server:
            self.check(self.path, "--ops=1000", clients=4)
        rows = re.findall(r"kvserver: (\d+) values on node ([01])\n",
                          server.log)
        self.assertEqual([node for _, node in rows], ["0", "1"])
        counts = [int(n) for n, _ in rows]
        self.assertGreater(sum(counts), 0)
        # Loops stay on their CPUs, which the two nodes share equally.
        cpus, half = os.sched_getaffinity(0), os.cpu_count() / 2
        if FLAVOUR == "qsbr" and min(cpus) < half <= max(cpus):
            self.assertGreater(min(counts), 0)

    def test_ends_while_it_serves(self):
        server = self.start()
        client = subprocess.Popen(
            [LOAD, "-c", self.path, "--ops=1000000000"],
            stderr=subprocess.PIPE, text=True)
        self.addCleanup(client.kill)
        watcher = self.client()
        while watcher.stats()["rcu_queued"] < 1000:
            pass
        self.stop(server)
        _, log = client.communicate(timeout=DEADLINE_S)
        self.assertEqual(client.returncode, 2, log)
        self.assertRegex(log, r"kvload: client \d+: (recv|send): ")


class Answers(ServerCase):
    def test_each_operation(self):
        with self.session():
            c = self.client()
            self.assertEqual(c.ask(GET, 1), (MISSING, b""))
            self.assertEqual(c.ask(SET, 1, b"one"), (OK, b""))
            self.assertEqual(c.ask(GET, 1), (OK, b"one"))
            self.assertEqual(c.ask(SET, 1, b""), (OK, b""))
            self.assertEqual(c.ask(GET, 1), (OK, b""))
            self.assertEqual(c.ask(SET, 1, b"x" * VALUE_MAX), (OK, b""))
            self.assertEqual(c.ask(GET, 1), (OK, b"x" * VALUE_MAX))
            self.assertEqual(c.ask(ADD, 2, struct.pack("<Q", 7)),
                             (OK, struct.pack("<Q", 7)))
            self.assertEqual(c.ask(ADD, 2, struct.pack("<Q", 2**64 - 1)),
                             (OK, struct.pack("<Q", 6)))
            self.assertEqual(c.ask(ADD, 1, struct.pack("<Q", 1)),
                             (NO_NUMBER, b""))
            self.assertEqual(c.ask(DEL, 1), (OK, b""))
            self.assertEqual(c.ask(DEL, 1), (MISSING, b""))
            self.assertEqual(c.ask(GET, 1), (MISSING, b""))

    def test_a_bad_request_ends_its_connection_only(self):
        with self.session():
            other = self.client()
            self.assertEqual(other.ask(SET, 1, b"one"), (OK, b""))
            for bad in (request(0), request(6), request(GET, 1, b"x"),
                        request(DEL, 1, b"x"), request(STATS, 1, b"x"),
                        request(ADD, 1, b"1234567"),
                        struct.pack("<IIQ", SET, VALUE_MAX + 1, 1),
                        struct.pack("<IIQ", SET, 2**32 - 1, 1)):
                with self.subTest(bad=bad):
                    c = self.client()
                    self.assertEqual(c.ask(GET, 1), (OK, b"one"))
                    c.send(bad)
                    self.assertEqual(c.answer(), (BAD, b""))
                    self.assertRaises((EOFError, ConnectionError), c.answer)
            self.assertEqual(other.ask(GET, 1), (OK, b"one"))

    def test_a_client_that_leaves_in_the_middle(self):
        with self.session():
            for part in b"", request(GET)[:7], request(SET, 1, b"abc")[:-1]:
                c = self.client()
                c.send(part)
                c.close()
            self.assertEqual(self.client().ask(GET, 1), (MISSING, b""))

    def test_requests_in_pieces(self):
        with self.session():
            c = self.client()
            for byte in request(SET, 9, b"in pieces"):
                c.send(bytes([byte]))
            self.assertEqual(c.answer(), (OK, b""))
            self.assertEqual(c.ask(GET, 9), (OK, b"in pieces"))

    def test_no_add_is_lost(self):
        """Many that come together, so that the connections meet."""
        n, rounds = 300, 40
        with self.session():
            clients = [self.client() for _ in range(4)]
            for _ in range(rounds):
                for c in clients:
                    c.send(request(ADD, 1, struct.pack("<Q", 1)) * n)
                for c in clients:
                    c.receive(16 * n)
            self.assertEqual(clients[0].ask(GET, 1),
                             (OK, struct.pack("<Q", 4 * n * rounds)))

    @unittest.skipIf(has_shadow(), "no limit of memory")
    def test_without_memory_nothing_changes(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_DATA, (96 << 20, 96 << 20))

        with self.session(limit=limit):
            c, key = self.client(), 0
            value = b"x" * VALUE_MAX
            while (status := c.ask(SET, key, value)[0]) == OK:
                key += 1
                self.assertLess(key, 96 << 20 >> 12)
            self.assertEqual(status, NO_MEMORY)
            self.assertEqual(c.ask(SET, 0, value), (NO_MEMORY, b""))
            self.assertEqual(c.ask(GET, 0), (OK, value))
            self.assertEqual(c.ask(GET, key), (MISSING, b""))
            for old in range(key):
                self.assertEqual(c.ask(DEL, old), (OK, b""))
            end = time.monotonic() + DEADLINE_S
            while c.stats()["rcu_freed"] < key:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            self.assertEqual(c.ask(SET, key, value), (OK, b""))

    def test_answers_that_are_not_read_at_once(self):
        value, n = bytes(range(256)) * 16, 2000
        with self.session():
            c = self.client()
            self.assertEqual(c.ask(SET, 1, value), (OK, b""))
            sender = threading.Thread(
                target=c.send, args=(request(GET, 1) * n,))
            sender.start()
            other = self.client()
            self.assertEqual(other.ask(GET, 2), (MISSING, b""))
            for _ in range(n):
                self.assertEqual(c.answer(), (OK, value))
            sender.join()
            self.assertEqual(c.ask(GET, 2), (MISSING, b""))

    def test_a_client_that_never_reads_does_not_hold_up_the_end(self):
        server = self.start()
        c = self.client()
        self.assertEqual(c.ask(SET, 1, b"x" * VALUE_MAX), (OK, b""))
        c.send(request(GET, 1) * 1000)
        self.stop(server)

    def test_sleepers_do_not_hold_up_what_is_deferred(self):
        """Clients that say nothing any more: their threads, or loops, sleep."""
        with self.session():
            asleep = [self.client() for _ in range(8)]
            for c in asleep:
                for value in b"one", b"two":
                    self.assertEqual(c.ask(SET, 1, value), (OK, b""))
            c, end = self.client(), time.monotonic() + DEADLINE_S
            while True:
                stats = c.stats()
                if stats["rcu_freed"] == 15:
                    break
                self.assertEqual(stats["rcu_queued"], 15)
                self.assertLess(time.monotonic(), end, stats)
                time.sleep(0.01)


class Mistakes(ServerCase):
    def check(self, program, args, message):
        done = subprocess.run([program, *args], capture_output=True, text=True,
                              check=False, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(message, done.stderr)

    def test_addresses(self):
        long = "/tmp/" + "x" * 200
        for program, option in (SERVER, "--listen"), (LOAD, "--connect"):
            for address, message in (
                    ("nothing", "nothing: neither HOST:PORT nor a path"),
                    (":80", ":80: neither HOST:PORT nor a path"),
                    ("x" * 300 + ":80", "neither HOST:PORT nor a path"),
                    ("127.0.0.1:no", "127.0.0.1:no: Servname not supported"),
                    ("/no/such/folder", "/no/such/folder: No such file"),
                    (long, long + ": path of a socket above 107 bytes")):
                with self.subTest(program=program, address=address):
                    self.check(program, [option, address], message)

    def test_options(self):
        for program, args, message in (
                (SERVER, ["word"], "'word' is no option"),
                (SERVER, ["--rounds=4"], "'4' is no number from 5 to 999"),
                (SERVER, ["--bytes=12"], "'12' is no multiple of 8"),
                (SERVER, ["--readers=x"], "'x' is no number from 1"),
                (SERVER, ["--keys=-1"], "'-1' is no number from 1"),
                (LOAD, ["word"], "'word' is no option"),
                (LOAD, ["--sets=71"], "'71' is no number from 0 to 70"),
                (LOAD, ["--bytes="], "'' is no number from 16 to 4096")):
            with self.subTest(program=program, args=args):
                self.check(program, args, message)

    def test_nobody_listens(self):
        self.check(LOAD, ["--connect", self.path],
                   self.path + ": No such file or directory")

    def test_a_socket_in_use_is_left_alone(self):
        with self.session():
            self.check(SERVER, ["--listen", self.path],
                       self.path + ": Address already in use")
            self.assertEqual(self.client().ask(GET, 1), (MISSING, b""))

    def test_a_file_is_left_alone(self):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write("mine")
        self.check(SERVER, ["--listen", self.path],
                   self.path + ": Address already in use")
        with open(self.path, encoding="utf-8") as f:
            self.assertEqual(f.read(), "mine")

    def test_a_dead_socket_is_replaced(self):
        self.assertEqual(self.start().stop(signal.SIGKILL), -signal.SIGKILL)
        self.assertTrue(os.path.exists(self.path))
        with self.session():
            self.assertEqual(self.client().ask(GET, 1), (MISSING, b""))

    def test_too_many_connections(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

        with self.session(limit=limit) as server:
            first = self.client()
            many = [self.client() for _ in range(32)]
            line = server.process.stderr.readline().decode()
            self.assertEqual(line, "kvserver: accept: Too many open files\n")
            self.assertEqual(first.ask(GET, 1), (MISSING, b""))
            for c in many[1:]:
                c.close()
            self.assertEqual(self.client().ask(GET, 1), (MISSING, b""))


    @unittest.skipIf(FLAVOUR == "qsbr", "has no thread for each connection")
    @unittest.skipIf(has_shadow(), "no limit of memory")
    def test_no_thread_for_a_connection(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_STACK, (8 << 20, 8 << 20))
            resource.setrlimit(resource.RLIMIT_DATA, (64 << 20, 64 << 20))

        with self.session(limit=limit) as server:
            served = 0
            for c in [self.client() for _ in range(16)]:
                with contextlib.suppress(EOFError, ConnectionError):
                    self.assertEqual(c.ask(GET, 1), (MISSING, b""))
                    served += 1
            self.assertIn(served, range(1, 16))
        self.assertEqual(16 - served, server.log.count(
            "kvserver: no thread for a connection: "))

    @unittest.skipIf(FLAVOUR != "qsbr", "has no event loops")
    def test_no_event_loop(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (7, 7))

        server = self.start(limit=limit)
        self.assertEqual(server.wait(), 2, server.log)
        self.assertRegex(server.log,
                         r"kvserver: event loop of CPU \d+: Too many open")
        self.assertFalse(os.path.exists(self.path))


class Liar(ServerCase):
    """The load notices when a server is wrong."""

    def lie(self, answers):
        """Runs the load against a server with fixed answers."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.settimeout(DEADLINE_S)
        listener.bind(self.path)
        listener.listen()

        def serve():
            c, _ = listener.accept()
            with c, c.makefile("rwb") as f:
                while head := f.read(16):
                    op, length, _ = struct.unpack("<IIQ", head)
                    f.read(length)
                    status, value = answers[op]
                    f.write(struct.pack("<II", status, len(value)) + value)
                    f.flush()

        thread = threading.Thread(target=serve)
        thread.start()
        done = load(self.path, "--clients=1", "--keys=4", "--ops=1000")
        thread.join()
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    answers = {GET: (MISSING, b""), SET: (OK, b""), DEL: (MISSING, b""),
               ADD: (OK, struct.pack("<Q", 2**60)), STATS: (OK, b"")}

    def test_a_set_that_is_lost(self):
        self.assertRegex(self.lie(self.answers),
                         "is not there after its SET|DEL of what is not there")

    def test_a_value_of_another_key(self):
        value = struct.pack("<QQ", 77, 1) + bytes(100)
        self.assertRegex(self.lie({**self.answers, GET: (OK, value)}),
                         "is not what was set last|is no value of this key|"
                         "is there after its DEL")

    def test_a_value_that_is_too_short(self):
        self.assertRegex(self.lie({**self.answers, GET: (OK, b"x")}),
                         "too short to be a value|is there after its DEL|"
                         "is not what was set last")

    def test_an_add_that_is_lost(self):
        sums = {**self.answers, ADD: (OK, struct.pack("<Q", 5))}
        sums[GET] = sums[DEL] = (MISSING, b"")
        done = self.lie(sums)
        self.assertRegex(done, "went back|after its SET|DEL of what")

    def test_refusals(self):
        for op, message in (SET, "no memory"), (ADD, "ADD was refused"):
            with self.subTest(op=op):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path)
                log = self.lie({**self.answers, op: (NO_MEMORY, b"")})
                self.assertRegex(log, message + "|after its SET|DEL of what")


class Bench(unittest.TestCase):
    def test_it_measures(self):
        done = subprocess.run(
            [SERVER, "--bench", "--rounds=5", "--ms=5", "--keys=100",
             "--readers=2"], capture_output=True, text=True, check=False,
            timeout=DEADLINE_S)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertTrue(done.stdout.startswith(
            "%s, 2 readers, 100000 updates a second, 100 values of 128 bytes, "
            "5 rounds of 8 times 5 ms\n" % FLAVOUR), done.stdout)
        self.assertEqual(re.findall(r"(?m)^(kfree_rcu / .*):$", done.stdout),
                         ["kfree_rcu / at once", "kfree_rcu / call_rcu"])
        rows = re.findall(r"(?m)^  (\w.*\w) +(\S+)  \[(\S+), (\S+)\] at "
                          r"(\S+) %$", done.stdout)
        self.assertEqual([row[0] for row in rows], 2 * [
            "lookups a second", "CPU of a lookup", "updates a second"])
        for _, median, low, high, percent in rows:
            self.assertLessEqual(0, float(low))
            self.assertLessEqual(float(low), float(median))
            self.assertLessEqual(float(median), float(high))
            self.assertEqual(percent, "93.8")  # 1 - 2 / 2^5


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
