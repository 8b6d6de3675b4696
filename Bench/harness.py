"""What the measurements of this folder share: a node on loopback, the load tool, figures and their medians.

Python's standard library only. Every process is ended by its own id; everything listens on 127.0.0.1.
"""
import argparse
import http.client
import json
import os
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TICKS = os.sysconf("SC_CLK_TCK")


def parser(text):
    """Flags that every script takes."""
    flags = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    release = os.path.join(ROOT, ".build", "release")
    flags.add_argument("--martlet", default=os.path.join(release, "martlet"), help="the node's program")
    flags.add_argument("--bench", default=os.path.join(release, "martlet-bench"), help="the load tool")
    flags.add_argument("--bundle", help="the bundle to serve; default: a synthetic one, made once in --work")
    flags.add_argument("--work", default=os.path.join(ROOT, ".build", "bench"), help="where bundles and logs are kept")
    flags.add_argument("--node-core", type=int, default=0, help="core of the node (and of its rival)")
    flags.add_argument("--tool-core", type=int, default=1, help="core of the load tool")
    flags.add_argument("--rounds", type=int, default=3)
    flags.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    flags.add_argument("--json", help="write the figures to this file")
    return flags


def check(options):
    """Says what is missing before anything is started."""
    for program in (options.martlet, options.bench):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is missing: `make build` makes it, or name it with --martlet and --bench")
    if shutil.which("taskset") is None:
        sys.exit("taskset is missing (Debian: util-linux)")
    cores = os.sched_getaffinity(0)
    for core in (options.node_core, options.tool_core):
        if core not in cores:
            sys.exit(f"core {core} is not among this machine's {sorted(cores)}: see --node-core and --tool-core")
    os.makedirs(options.work, exist_ok=True)
    # Asked to end: leave through the contexts, so that the processes started here end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def bundle(options, users, items, rank=64):
    """The bundle to serve; made on the first call."""
    if options.bundle:
        return options.bundle
    place = os.path.join(options.work, f"synthetic-{users}x{items}x{rank}")
    if not os.path.exists(os.path.join(place, "manifest.json")):
        say(f"making {place} (once)")
        subprocess.check_call(
            [options.martlet, "sample", "--bundle", "--users", str(users), "--items", str(items), "--rank", str(rank),
             "--output", place], stdout=subprocess.DEVNULL)
    return place


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(core, command):
    return ["taskset", "-c", str(core)] + command if core is not None else command


def stop(process, patience=15):
    """Ends a process that this script started: asks, then insists."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def processor_seconds(pid):
    """User and system time that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid):
    """Resident memory in bytes: VmRSS and its kinds, and Pss."""
    found = {}
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "VmHWM", "RssAnon", "RssFile", "RssShmem"):
                found[name] = int(value.split()[0]) * 1024
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                found["Pss"] = int(line.split()[1]) * 1024
    return found


def resident_quickly(pid):
    """VmRSS alone, by one short read."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Node:
    """A `martlet serve` of this script. A context: it is stopped at the end, whatever happens."""

    def __init__(self, options, bundle, shards=1, core="node", settings=(), descriptors=None, name="node"):
        self.port, self.http_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        command = [options.martlet, "serve", "--bundle", bundle, "--listen", self.address, "--http",
                   f"127.0.0.1:{self.http_port}", "--shards", str(shards), "--log-level", "warning"]
        for setting in settings:
            command += ["--set", setting]
        self.log_path = os.path.join(options.work, f"{name}-{os.getpid()}.log")
        self.log = open(self.log_path, "w")
        core = options.node_core if core == "node" else core

        def limits():
            if descriptors:
                hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
                resource.setrlimit(resource.RLIMIT_NOFILE, (min(descriptors, hard), hard))

        self.started = time.monotonic()
        self.process = subprocess.Popen(
            pinned(core, command), stdout=self.log, stderr=subprocess.STDOUT, preexec_fn=limits)
        self.pid = self.process.pid
        self.seconds_to_ready = None

    def __enter__(self):
        try:
            self.wait_ready()
        except BaseException:
            stop(self.process)
            raise
        return self

    def __exit__(self, *_):
        stop(self.process)
        self.log.close()

    def wait_ready(self, patience=120):
        while time.monotonic() - self.started < patience:
            if self.process.poll() is not None:
                self.fail("the node ended while it started")
            try:
                if self.get("/readyz")[0] == 200:
                    self.seconds_to_ready = time.monotonic() - self.started
                    return
            except OSError:
                pass
            time.sleep(0.005)
        self.fail(f"the node was not ready after {patience} s")

    def fail(self, text):
        with open(self.log_path) as file:
            tail = file.read()[-2000:]
        raise SystemExit(f"{text}; its log ends:\n{tail}")

    @property
    def is_running(self):
        return self.process.poll() is None

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.get("/status")[1])

    def metrics(self):
        """Samples by name with labels, as in the text format."""
        found = {}
        for line in self.get("/metrics")[1].splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found


def load(options, node, *flags, core="tool", seconds=None):
    """Runs `martlet-bench load` and returns its report."""
    command = [options.bench, "load", "--node", node.address, "--json", "-", "--quiet"]
    if seconds is not None:
        command += ["--duration", str(seconds)]
    command += [str(flag) for flag in flags]
    core = options.tool_core if core == "tool" else core
    done = subprocess.run(pinned(core, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120 + 4 * (seconds or 10))
    if done.returncode not in (0, 2):
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def measured(pid, body):
    """Runs `body` and returns its result and the processor seconds that process `pid` used meanwhile."""
    before = processor_seconds(pid)
    result = body()
    return result, processor_seconds(pid) - before


def median(values):
    return statistics.median(values)


def machine():
    """What the figures were measured on."""
    model = platform.processor()
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"processor": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "load_average": [round(value, 2) for value in os.getloadavg()],
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def warn_if_busy():
    """Other work on the machine makes the figures worthless; processor time per answer suffers less."""
    one = os.getloadavg()[0]
    if one > 0.5 * os.cpu_count():
        say(f"note: the load average is {one:.1f} on {os.cpu_count()} cores; other programs run beside this measurement")


def table(header, rows):
    """Aligned columns: the first to the left, the others to the right."""
    rows = [[str(cell) for cell in row] for row in [header] + rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  " + "  ".join(cells))


def publish(options, figures):
    figures = {"machine": machine(), **figures}
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")


def megabytes(count):
    return f"{count / 1e6:.1f} MB"
