#!/usr/bin/env python3
"""Question: does a node that is attacked on every side stay up, bounded, and good to those who behave?

For some minutes (--minutes, 1 by default; 10 for the full run), all at once: mutated, truncated and invented frames;
writers that send a byte at a time; readers that ask for much and read nothing; half-open connections that say nothing,
or half a hello, or vanish with a reset; 10 000 idle connections from several addresses of 127.0.0.0/8. Meanwhile
martlet-bench sends good calls at a constant rate, and a checker compares answers with those from before the attack.

Fails (exit code 1) when the node ends, when a good call fails or is answered differently, when an idle connection is
lost, or when resident memory grows beyond --growth-max or still grows in the second half of the run.
"""
import os
import random
import resource
import socket
import struct
import subprocess
import threading
import time
import json
import sys

import harness

HELLO, WELCOME, CALL, REPLY, CANCEL, PING = 1, 2, 3, 4, 5, 6
RECOMMEND, SIMILAR, ITEM, HEALTH = 1, 3, 4, 5


def frame(kind, body=b"", code=0, flags=0, call=0, timeout=0, slot=0, extension=b"", length=None):
    if length is None:
        length = 16 + len(extension) + len(body)
    return struct.pack(">IBBBBIIHH", length & 0xFFFFFFFF, 1, kind, code, flags, call, timeout, slot,
                       len(extension)) + extension + body


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def text(field, value):
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def hello(name="robustness"):
    return frame(HELLO, varint(1 << 3) + varint(1) + text(4, name))


def recommend(user, k=20, call=1, timeout=0):
    return frame(CALL, text(2, user) + varint(3 << 3) + varint(k), code=RECOMMEND, call=call, slot=0xFFFF, timeout=timeout)


def connect(port, source=None, timeout=5):
    peer = socket.socket()
    peer.settimeout(timeout)
    if source:
        peer.bind((source, 0))
    peer.connect(("127.0.0.1", port))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def exactly(peer, count):
    data = b""
    while len(data) < count:
        part = peer.recv(count - len(data))
        if not part:
            raise ConnectionError("the node closed the connection")
        data += part
    return data


def read_frame(peer):
    head = exactly(peer, 20)
    length, _, kind, code, _, call, _, _, extension = struct.unpack(">IBBBBIIHH", head)
    return kind, code, call, exactly(peer, length - 16)[extension:]


def items_of(body):
    """The item IDs of a RecommendReply; unknown fields are skipped."""
    found, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(body):
        key = number()
        if key & 7 == 0:
            number()
        elif key & 7 == 5:
            at += 4
        elif key & 7 == 1:
            at += 8
        else:
            size = number()
            if key >> 3 == 1:
                found.append(body[at:at + size])
            at += size
    return found


class Siege:
    """The attackers and the checker: threads that run until `over` is set, counting what they do."""

    def __init__(self, options, node):
        self.options, self.node, self.port = options, node, node.port
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.counts = {}
        self.faults = []
        self.idle = []
        self.threads = []

    def count(self, name, number=1):
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + number

    def fault(self, message):
        with self.lock:
            if len(self.faults) < 20:
                self.faults.append(message)

    def start(self, body, *arguments):
        def run():
            while not self.over.is_set():
                try:
                    body(*arguments)
                except OSError:
                    # A refused or reset connection is the node's right towards an attacker.
                    self.count("attackers' connections ended by the node")
                    time.sleep(0.005)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.threads.append(thread)

    # Good calls

    def ask(self, peer, user, call):
        peer.sendall(recommend(user, call=call))
        while True:
            kind, code, answered, body = read_frame(peer)
            if kind == REPLY and answered == call:
                return code, items_of(body) if code == 0 else []

    def greet(self, source=None):
        peer = connect(self.port, source)
        peer.sendall(hello())
        kind, _, _, _ = read_frame(peer)
        if kind != WELCOME:
            raise ConnectionError(f"frame kind {kind} instead of a welcome")
        return peer

    def learn(self, users):
        """What is right: the answers of a node that nobody attacks."""
        with self.greet() as peer:
            self.right = {}
            for call, user in enumerate(users):
                code, items = self.ask(peer, user, call + 1)
                if code != 0 or len(items) != 20 or len(set(items)) != 20:
                    raise SystemExit(f"before the attack, {user} was answered status {code} with {len(items)} items")
                self.right[user] = items

    def check_answers(self):
        rng = random.Random(5)
        users = list(self.right)
        try:
            with self.greet() as peer:
                for call in range(1, 500):
                    if self.over.is_set():
                        return
                    user = rng.choice(users)
                    code, items = self.ask(peer, user, call)
                    if code != 0 or items != self.right[user]:
                        self.fault(f"{user} was answered status {code}, {len(items)} items, not as before the attack")
                    self.count("answers checked")
                    time.sleep(0.01)
        except OSError as error:
            if not self.over.is_set():
                self.fault(f"a good connection failed: {error!r}")
                time.sleep(0.5)

    # Attacks

    def mutate(self, rng):
        """Good bytes with some of them changed, cut, doubled or replaced; or none of them good."""
        data = bytearray()
        for call in range(rng.randrange(1, 6)):
            user = f"u{rng.randrange(1, 2000):07d}"
            choice = rng.randrange(8)
            if choice < 4:
                data += recommend(user, k=rng.choice([0, 1, 20, 1000, 2**32 - 1]), call=call)
            elif choice == 4:
                data += frame(CALL, rng.randbytes(rng.randrange(200)), code=rng.randrange(256), call=call, slot=0xFFFF)
            elif choice == 5:
                data += frame(rng.randrange(256), rng.randbytes(rng.randrange(40)), code=rng.randrange(256), call=call)
            elif choice == 6:
                data += frame(CALL, text(2, user), code=SIMILAR, flags=rng.randrange(256), call=call,
                              extension=rng.randbytes(rng.randrange(60)))
            else:
                data += frame(CALL, text(2, user) + text(5, "x") * rng.randrange(3000), code=RECOMMEND, call=call)
        kind = rng.randrange(7)
        if kind < 3:
            for _ in range(rng.randrange(1, 9)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        elif kind == 3:
            del data[rng.randrange(len(data)):]
        elif kind == 4:
            start = rng.randrange(len(data))
            data[start:start] = data[:rng.randrange(len(data))]
        elif kind == 5:
            struct.pack_into(">I", data, 0, rng.choice([0, 15, 16, 2**20 + 1, 2**31, 2**32 - 1, rng.randrange(2**32)]))
        else:
            data = bytearray(rng.randbytes(rng.randrange(1, 4000)))
        return bytes(data)

    def send_mutated(self, rng):
        with connect(self.port, timeout=0.05) as peer:
            if rng.random() < 0.85:
                peer.sendall(hello())
            peer.sendall(self.mutate(rng))
            self.count("mutated or truncated streams")
            if rng.random() < 0.5:
                peer.shutdown(socket.SHUT_WR)
            try:
                while peer.recv(65536):
                    if self.over.is_set():
                        return
            except TimeoutError:
                pass

    def send_slowly(self, rng):
        """One byte at a time; the handshake is in time, the call never ends."""
        with self.greet() as peer:
            data = recommend("u0000001") * 3
            for at in range(rng.randrange(20, len(data))):
                if self.over.wait(0.02):
                    return
                peer.sendall(data[at:at + 1])
            self.count("slow writers")

    def read_slowly(self, rng):
        """Asks for far more than it reads."""
        with self.greet() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            calls = b"".join(recommend(f"u{rng.randrange(1, 1000):07d}", k=200, call=call) for call in range(500))
            peer.settimeout(0.2)
            self.count("slow readers")
            until = time.monotonic() + 5
            while time.monotonic() < until and not self.over.is_set():
                try:
                    peer.send(calls)
                except TimeoutError:
                    pass
                self.over.wait(0.1)
                if rng.random() < 0.3:
                    peer.recv(100)

    def half_open(self, rng):
        peers = []
        try:
            for _ in range(20):
                peer = connect(self.port)
                if rng.random() < 0.5:
                    peer.sendall(hello()[:rng.randrange(1, 30)])
                peers.append(peer)
            self.count("half-open connections", len(peers))
            self.over.wait(rng.random() * 2)
        finally:
            for peer in peers:
                if rng.random() < 0.5:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()

    def cancel_and_vanish(self, rng):
        """Calls with cancels, pings and deadlines that are over; then gone without reading."""
        with self.greet() as peer:
            data = b""
            for call in range(1, 200):
                data += recommend(f"u{rng.randrange(1, 5000):07d}", call=call, timeout=rng.choice([0, 1, 50]))
                if rng.random() < 0.5:
                    data += frame(CANCEL, call=rng.randrange(1, 300))
                if rng.random() < 0.1:
                    data += frame(PING, call=call)
            peer.sendall(data)
            self.count("bursts of calls cancelled and left")

    # Idle connections

    def open_idle(self, wanted):
        refused = 0
        while len(self.idle) < wanted and refused < 100 and not self.over.is_set():
            # A fresh source address every 2000 connections: the ports of one pair of addresses are bounded.
            source = f"127.0.0.{2 + len(self.idle) // 2000}"
            try:
                self.idle.append(self.greet(source))
            except OSError as error:
                refused += 1
                last = error
        if len(self.idle) < wanted:
            self.fault(f"only {len(self.idle)} of {wanted} idle connections could be opened: {last!r}")

    def check_idle(self):
        """Every idle connection must still answer a ping."""
        answered = 0
        for peer in self.idle:
            try:
                peer.sendall(frame(PING, call=7))
            except OSError:
                pass
        for peer in self.idle:
            try:
                peer.settimeout(5)
                kind, _, call, _ = read_frame(peer)
                answered += kind == 7 and call == 7
            except OSError:
                pass
            peer.close()
        return answered


def main():
    flags = harness.parser(__doc__)
    flags.add_argument("--minutes", type=float, default=1.0)
    flags.add_argument("--idle", type=int, default=10_000, help="idle connections")
    flags.add_argument("--rate", type=float, default=500, help="good calls a second")
    flags.add_argument("--shards", type=int, default=2)
    flags.add_argument("--growth-max", type=float, default=256, help="megabytes that resident memory may grow by")
    flags.add_argument("--seed", type=int, default=1)
    options = flags.parse_args()
    harness.check(options)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = hard - 1500
    if options.idle > most:
        harness.say(f"note: {hard} descriptors are allowed here, so {most} idle connections instead of {options.idle}")
        options.idle = most
    bundle = harness.bundle(options, 20_000, 10_000)
    seconds = options.minutes * 60
    with harness.Node(options, bundle, shards=options.shards, core=None, descriptors=hard,
                      settings=["limits.connections_max=20000", "cache.bytes=32MiB"]) as node:
        siege = Siege(options, node)
        siege.learn([f"u{user:07d}" for user in range(1, 200)])
        began = time.monotonic()
        siege.open_idle(options.idle)
        harness.say(f"{len(siege.idle)} idle connections in {time.monotonic() - began:.1f} s; attacking for {seconds:.0f} s")
        start = harness.resident(node.pid)["VmRSS"]
        rng = random.Random(options.seed)
        for attack, threads in ((siege.send_mutated, 6), (siege.send_slowly, 4), (siege.read_slowly, 4),
                                (siege.half_open, 2), (siege.cancel_and_vanish, 1)):
            for _ in range(threads):
                siege.start(attack, random.Random(rng.random()))
        siege.start(siege.check_answers)
        # A file: nobody reads a pipe until the run is over, and a long run's report does not fit into one.
        good_report = os.path.join(options.work, f"robustness-good-{os.getpid()}.json")
        good = subprocess.Popen(
            [options.bench, "load", "--node", node.address, "--rate", str(options.rate), "--duration", str(seconds),
             "--connections", "8", "--users", "2000", "--timeout", "5s", "--quiet", "--no-spin", "--json", good_report],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        series = []
        try:
            while good.poll() is None and node.is_running and time.monotonic() - began < seconds + 120:
                time.sleep(1)
                if node.is_running:
                    series.append((time.monotonic() - began, harness.resident(node.pid)["VmRSS"]))
                if len(series) % 30 == 1:
                    harness.say(f"  {series[-1][0]:.0f} s: resident {harness.megabytes(series[-1][1])}, {siege.counts}")
        finally:
            siege.over.set()
            harness.stop(good)
        for thread in siege.threads:
            thread.join(10)
        alive = node.is_running
        idle = siege.check_idle() if alive else 0
        metrics = node.metrics() if alive else {}
        if not alive:
            siege.fault(f"the node ended with code {node.process.returncode}, see {node.log_path}")
        _, complaint = good.communicate()
        try:
            with open(good_report, encoding="utf-8") as file:
                report = json.load(file)
            os.remove(good_report)
        except (OSError, ValueError):
            report = None
            siege.fault(f"the good load had no report: {complaint.strip()[-300:]}")
    highest = max((value for _, value in series), default=start)
    half = [value for _, value in series[len(series) // 2:]] or [start]
    late = half[-1] - half[0]
    if highest - start > options.growth_max * 1e6:
        siege.fault(f"resident memory grew by {harness.megabytes(highest - start)}")
    if late > 0.25 * options.growth_max * 1e6:
        siege.fault(f"resident memory still grew by {harness.megabytes(late)} in the second half")
    if idle < len(siege.idle):
        siege.fault(f"{len(siege.idle) - idle} of {len(siege.idle)} idle connections were lost")
    if report and report["failed"]:
        siege.fault(f"good calls failed: {report['errors']}")
    bad = sum(value for name, value in metrics.items() if name.startswith("martlet_frames_bad_total"))
    rows = [[name, f"{count:,}"] for name, count in sorted(siege.counts.items())]
    rows += [["frames that the node called bad", f"{bad:,.0f}"],
             ["idle connections that still answer", f"{idle:,} of {len(siege.idle):,}"],
             ["resident before, highest, at the end",
              ", ".join(harness.megabytes(value) for value in (start, highest, half[-1]))]]
    if report:
        times = report["client"]["microseconds"]
        rows += [["good calls answered", f"{report['succeeded']:,}"], ["good calls failed", f"{report['failed']:,}"],
                 ["good calls, p50 and p99", f"{times.get('p50', 0):.0f} us, {times.get('p99', 0):.0f} us"]]
    harness.table([f"{options.minutes:g} minute(s)", ""], rows)
    for message in siege.faults:
        print(f"  FAULT: {message}")
    print("  held" if not siege.faults else "  FAILED")
    harness.publish(options, {"minutes": options.minutes, "counts": siege.counts, "idle_answering": idle,
                              "idle_opened": len(siege.idle), "resident": {"before": start, "highest": highest,
                                                                            "end": half[-1]},
                              "bad_frames": bad, "good": report and {key: report[key] for key in
                                                                     ("succeeded", "failed", "errors", "client")},
                              "faults": siege.faults})
    sys.exit(1 if siege.faults else 0)


if __name__ == "__main__":
    main()
