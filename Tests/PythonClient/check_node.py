"""Exercises every method and rule of Protos/README.md against a running node.

    python check_node.py HOST:PORT [--user U]... [--load PATH]

Exits 0 when all checks pass; prints a line for each. Nothing of the node's data is assumed but that it has items; users
given with --user are known to it. LoadModel is tried with --load PATH, else only with paths that must be refused.
"""

import argparse
import os
import re
import socket
import struct
import sys

import martlet_client as m
import martlet_pb2 as pb

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def refused(status, call):
    """The CallError of `call`, which must be refused with `status` (one, or any of several)."""
    try:
        answer = call()
    except m.CallError as error:
        allowed = status if isinstance(status, tuple) else (status,)
        assert error.status in allowed, "expected status %s, got %s" % (status, error)
        assert error.message, "an error without a message"
        return error
    raise AssertionError("expected status %s, got an answer: %s" % (status, answer))


def page_blocks():
    """The hexadecimal blocks of Protos/README.md by name."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Protos", "README.md")
    with open(path, encoding="utf-8") as page:
        text = page.read()
    blocks = {}
    for name, body in re.findall(r"^```hex (\w+)\n(.*?)^```", text, re.M | re.S):
        digits = " ".join(line.split(";")[0] for line in body.splitlines())
        blocks[name] = bytes.fromhex(digits.replace(" ", ""))
    return blocks


@check
def worked_bytes(context):
    """The page's bytes are what this client writes and reads."""
    blocks = page_blocks()
    hello = pb.Hello(protocol_version=1, partition_map_version=1, shard_plus_one=1, client_name="page")
    assert m.Frame(m.HELLO, body=hello.SerializeToString()).encode() == blocks["hello"]
    request = pb.RecommendRequest(user="196", k=3)
    frame = m.Frame(m.CALL, 1, 0, 1, 50000, m.slot_of("196"), b"", request.SerializeToString())
    assert frame.encode() == blocks["call"]
    reply = pb.RecommendReply.FromString(blocks["reply"][20:])
    assert list(reply.items) == ["50", "181", "258"] and list(reply.scores) == [2.5, 1.25, -0.5]
    assert pb.Error.FromString(blocks["error"][20:]).retry_after_milliseconds == 20
    assert pb.Welcome.FromString(blocks["welcome"][20:]).shard_count == 2
    assert m.Frame(m.CANCEL, call_id=3).encode() == blocks["cancel"]
    assert m.Frame(m.PING, call_id=9).encode() == blocks["ping"]


@check
def routing(context):
    """XXH64, slots and shards are those of the page's table."""
    for user, digest, slot, of3 in (
            ("", "ef46db3751d8e999", 10649, 1), ("abc", "44bc2cf5ad770999", 2457, 0), ("196", "d2688b2e323a5e6c", 7788, 1),
            ("Zoë", "577dd6bec83ca1d1", 8657, 1),
            ("Nobody inspects the spammish repetition", "fbcea83c8a378bf1", 3057, 0)):
        assert "%016x" % m.xxh64(user.encode("utf-8")) == digest
        assert m.slot_of(user) == slot and m.shard_of(slot, 3) == of3


@check
def welcome(context):
    """The welcome is sound, and each connection landed where it asked to."""
    client = context.client
    for shard, connection in enumerate(client.connections):
        welcome = connection.welcome
        assert welcome.protocol_version == 1 and welcome.shard_count == client.shard_count
        assert welcome.shard == shard, "asked for shard %d, landed on %d" % (shard, welcome.shard)
        assert welcome.frame_bytes_max >= 1 << 12
        assert welcome.software_version


@check
def health(context):
    reply = context.client.health()
    assert reply.state == pb.HealthReply.STATE_READY
    assert reply.model and reply.generation > 0


@check
def recommend(context):
    for user in context.users + ["no-such-user-7f3a"]:
        reply = context.client.recommend(user, k=5)
        assert len(reply.items) == len(reply.scores) == 5
        assert len(set(reply.items)) == 5, "an item twice"
        assert list(reply.scores) == sorted(reply.scores, reverse=True), "not best first"
        assert reply.model and reply.generation > 0
        known = user in context.users
        assert (reply.fallback == pb.FALLBACK_UNKNOWN_USER) == (not known), reply.fallback
    context.items = list(context.client.recommend("no-such-user-7f3a", k=5).items)


@check
def defaults(context):
    assert len(context.client.recommend("no-such-user-7f3a").items) > 0


@check
def exclusions(context):
    user = (context.users + ["no-such-user-7f3a"])[0]
    first = context.client.recommend(user, k=5)
    again = context.client.recommend(user, k=5, exclude_items=list(first.items) + ["no-such-item"])
    assert not set(first.items) & set(again.items)


@check
def filters(context):
    """Conditions hold for every item, those that do not fit are refused, and a page goes on under the same filter."""
    user = (context.users + ["no-such-user-7f3a"])[0]
    error = refused(m.INVALID_ARGUMENT, lambda: context.client.recommend(
        user, filter=pb.AttributeFilter(conditions=[pb.AttributeCondition(attribute="no such attribute", min=1)])))
    assert "no such attribute" in error.message and "known:" in error.message, error.message
    names = error.message.split("known: ")[1].split(", ")
    tags = next(name for name in names if name in ("tags", "genres"))
    some = context.client.recommend(user, k=1).items[0]
    tag = context.client.get_item(some).tags[0]

    def answer(k=5, **condition):
        return context.client.recommend(
            user, k=k, filter=pb.AttributeFilter(conditions=[pb.AttributeCondition(attribute=tags, **condition)]))
    having = answer(any_of=[tag, "no such tag"])
    assert having.items and all(tag in context.client.get_item(item).tags for item in having.items)
    assert having.items == context.client.recommend(user, k=5, filter=pb.AttributeFilter(any_tag=[tag])).items
    without = answer(none_of=[tag])
    assert without.items and not any(tag in context.client.get_item(item).tags for item in without.items)
    assert not answer(any_of=["no such tag"]).items
    for wrong in (dict(min=0), dict(max=0), dict()):
        refused(m.INVALID_ARGUMENT, lambda: answer(**wrong))
    refused(m.INVALID_ARGUMENT, lambda: answer(any_of=["v%d" % n for n in range(129)]))
    if "year" in names:
        years = pb.AttributeFilter(conditions=[pb.AttributeCondition(attribute="year", min=1990, max=2020)])
        first = context.client.recommend(user, k=3, filter=years)
        assert len(first.items) == 3
        second = context.client.recommend(user, k=3, filter=years, cursor=first.next_cursor)
        assert not set(first.items) & set(second.items)
        refused(m.INVALID_ARGUMENT, lambda: context.client.recommend(user, k=3, cursor=first.next_cursor))
        nothing = pb.AttributeFilter(conditions=[pb.AttributeCondition(attribute="year", max=0)])
        assert not context.client.recommend(user, k=3, filter=nothing).items, "a bound of 0 counts"
        refused(m.INVALID_ARGUMENT, lambda: context.client.recommend(
            user, filter=pb.AttributeFilter(conditions=[pb.AttributeCondition(attribute="year", min=float("nan"))])))


@check
def explain_and_details(context):
    user = (context.users + ["no-such-user-7f3a"])[0]
    reply = context.client.recommend(user, k=3, explain=True, include_details=True)
    cells = len(reply.features) * len(reply.ranked_items)
    assert len(reply.values) == len(reply.contributions) == cells and all(one < 3 for one in reply.ranked_items)
    assert len(reply.titles) == len(reply.reasons) == len(reply.items) == 3
    assert reply.shares and all(share.item < 3 and share.source and share.rank >= 1 for share in reply.shares)
    assert reply.timings and reply.eligible_items >= 3


@check
def pages(context):
    user = (context.users + ["no-such-user-7f3a"])[0]
    first = context.client.recommend(user, k=4)
    assert first.next_cursor, "no second page"
    second = context.client.recommend(user, k=4, cursor=first.next_cursor)
    assert not set(first.items) & set(second.items), "pages overlap"
    again = context.client.recommend(user, k=4, cursor=first.next_cursor)
    assert list(again.items) == list(second.items), "a page changed"


@check
def pins(context):
    user = (context.users + ["no-such-user-7f3a"])[0]
    plain = context.client.recommend(user, k=6)
    last = plain.items[5]
    reply = context.client.recommend(user, k=4, explain=True, pins=[pb.Pin(item=last, place=2)])
    assert list(reply.items) == [plain.items[0], last, plain.items[1], plain.items[2]], "the pin is not in its place"
    assert [placement.pinned for placement in reply.placements] == [False, True, False, False]
    assert not reply.propensities and reply.seed == 0, "nothing is left to chance here"
    second = context.client.recommend(user, k=4, cursor=reply.next_cursor, pins=[pb.Pin(item=last, place=2)])
    assert not set(reply.items) & set(second.items), "pages overlap"
    refused(m.INVALID_ARGUMENT, lambda: context.client.recommend(
        user, pins=[pb.Pin(item="a", place=1), pb.Pin(item="b", place=1)]))
    refused(m.INVALID_ARGUMENT, lambda: context.client.recommend(user, pins=[pb.Pin(item="a", place=0)]))


@check
def cached_and_bypassed(context):
    """The same bytes come from the cache the second time; the bypass flag goes past it. Both give the same slate."""
    user = (context.users + ["no-such-user-7f3a"])[0]
    connection, slot = context.client.connection_of(user), m.slot_of(user)
    request = pb.RecommendRequest(user=user, k=7)
    frames = [
        connection.reply_to(connection.send("Recommend", request, slot=slot, bypass_cache=bypass))
        for bypass in (False, False, True)]
    assert all(frame.code == m.OK for frame in frames)
    assert not frames[2].flags & m.FLAG_CACHED
    slates = [list(pb.RecommendReply.FromString(frame.body).items) for frame in frames]
    assert slates[0] == slates[1] == slates[2]


@check
def recommend_many(context):
    users = (context.users + ["no-such-user-7f3a", "another-unknown"]) * 2
    reply = context.client.recommend_many(users, k=4)
    assert len(reply.item_counts) == len(reply.statuses) == len(reply.fallbacks) == len(users)
    assert sum(reply.item_counts) == len(reply.items) == len(reply.scores)
    start = 0
    for user, count, status in zip(users, reply.item_counts, reply.statuses):
        assert status == m.OK
        assert list(reply.items[start:start + count]) == list(context.client.recommend(user, k=4).items)
        start += count


@check
def answers_beyond_the_frame(context):
    """An answer that would be larger than a frame may be is refused, and the connection goes on."""
    client = context.client
    users = ["large-%d" % number for number in range(1024)]
    request = pb.RecommendManyRequest(users=users, k=1000)
    frame = client.connections[0].reply_to(client.connections[0].send("RecommendMany", request))
    if frame.code == m.OK:  # few items, or short names
        assert len(frame.body) + 16 <= client.connections[0].frame_bytes_max
    else:
        assert frame.code == m.RESOURCE_EXHAUSTED and not frame.flags & m.FLAG_RETRY_IS_SAFE, frame.code
    assert client.health().model


@check
def similar_items(context):
    reply = context.client.similar_items(context.items[0], k=3, include_details=True)
    assert len(reply.items) == len(reply.scores) == len(reply.titles)
    assert context.items[0] not in reply.items
    assert reply.source
    refused(m.NOT_FOUND, lambda: context.client.similar_items("no-such-item-7f3a"))


@check
def rank(context):
    """Whether or not the bundle holds a ranker, both answers follow the page."""
    items = list(context.items[:5]) + ["no-such-item-7f3a"]
    refused(m.INVALID_ARGUMENT, lambda: context.client.rank(context.users[0], []))
    refused(m.INVALID_ARGUMENT, lambda: context.client.rank(context.users[0], ["i"] * 10_001))
    try:
        reply = context.client.rank(context.users[0], items, explain=True)
    except m.CallError as error:
        assert error.status == m.FAILED_PRECONDITION, error
        return
    assert sorted(reply.places) == [0, 1, 2, 3, 4] and list(reply.unknown) == [5]
    assert list(reply.scores) == sorted(reply.scores, reverse=True)
    assert len(reply.values) == len(reply.contributions) == 5 * len(reply.features)


@check
def get_item(context):
    reply = context.client.get_item(context.items[0])
    assert reply.item == context.items[0] and reply.popularity_rank >= 1
    refused(m.NOT_FOUND, lambda: context.client.get_item("no-such-item-7f3a"))


@check
def models(context):
    listed = context.client.list_models().models
    refused((m.PERMISSION_DENIED, m.FAILED_PRECONDITION), lambda: context.client.load_model("no/such/bundle"))
    for path in ("../escape", "/etc", ".."):
        refused(m.PERMISSION_DENIED, lambda: context.client.load_model(path))
    refused(m.INVALID_ARGUMENT, lambda: context.client.load_model(""))
    if context.load:
        assert any(model.path == context.load for model in listed), "%s is not listed" % context.load
        before = context.client.health().generation
        assert context.client.load_model(context.load).generation > before
        assert context.client.recommend("no-such-user-7f3a", k=5).generation > before


@check
def many_in_flight(context):
    """Hundreds of calls at once on one connection, answered in whatever order."""
    connection = context.client.connections[0]
    users = ["user-%d" % number for number in range(300)]
    calls = {
        connection.send("Recommend", pb.RecommendRequest(user=user, k=2), slot=m.slot_of(user)): user for user in users}
    for call_id in reversed(list(calls)):
        assert len(connection.finish("Recommend", call_id).items) == 2
    assert not connection.replies


@check
def wrong_slot_is_only_a_hint(context):
    connection = context.client.connections[-1]
    expected = list(context.client.recommend("user-x", k=3).items)
    for slot in (0, 16383, 16384, 65535):
        reply = connection.call("Recommend", pb.RecommendRequest(user="user-x", k=3), slot=slot)
        assert list(reply.items) == expected


@check
def trace_context_and_long_extensions(context):
    connection = context.client.connections[0]
    trace = b"\0" + bytes(range(1, 17)) + bytes(range(1, 9)) + b"\1"
    assert len(trace) == 26
    for extension in (trace, trace + b"more than this version knows"):
        assert connection.call("Health", pb.HealthRequest(), trace=extension).model


@check
def bad_requests(context):
    client, connection = context.client, context.client.connections[0]
    error = refused(m.INVALID_ARGUMENT, lambda: client.recommend("", k=3))
    assert "user" in error.message
    refused(m.INVALID_ARGUMENT, lambda: client.recommend("x" * 256))
    refused(m.INVALID_ARGUMENT, lambda: client.recommend("a", k=1001))
    refused(m.INVALID_ARGUMENT, lambda: client.recommend_many([]))
    refused(m.INVALID_ARGUMENT, lambda: client.recommend_many(["u%d" % n for n in range(1025)]))
    refused(m.INVALID_ARGUMENT, lambda: client.recommend("a", exclude_items=["i%d" % n for n in range(10001)]))
    refused(m.NOT_FOUND, lambda: client.recommend("a", scenario="no-such-scenario"))
    refused(m.INVALID_ARGUMENT, lambda: connection.call("Recommend", b"\xff\xff\xff"))
    # user = bytes that are not UTF-8
    refused(m.INVALID_ARGUMENT, lambda: connection.call("Recommend", b"\x12\x02\xc3\x28"))
    # A body stuffed with empty elements wants more memory than a request may take.
    refused(m.INVALID_ARGUMENT, lambda: connection.call("Recommend", b"\x12\x01a" + b"\x2a\x00" * 100000))
    # Unknown fields are skipped.
    reply = connection.call("Recommend", pb.RecommendRequest(user="a", k=2).SerializeToString() + b"\xa2\x06\x02hi")
    assert len(reply.items) == 2


@check
def unknown_methods_and_kinds(context):
    connection = context.client.connections[0]
    assert connection.reply_to(connection.send(200, b"")).code == m.UNIMPLEMENTED
    connection.send_frame(m.Frame(99, call_id=12345))
    assert connection.reply_to(12345).code == m.UNIMPLEMENTED
    assert context.client.health().model


@check
def ping(context):
    for number in (0, 1, 0xFFFFFFFF):
        context.client.connections[0].ping(number)


@check
def cancel(context):
    """A cancelled call is answered, cancelled or not; a cancel for no call is ignored."""
    connection = context.client.connections[0]
    connection.cancel(4242)
    many = pb.RecommendManyRequest(users=["u%d" % number for number in range(1000)], k=20)
    call_id = connection.send("RecommendMany", many)
    connection.cancel(call_id)
    assert connection.reply_to(call_id).code in (m.OK, m.CANCELLED)


@check
def timeouts(context):
    """One microsecond is too little for anything that is not cached; ten minutes are enough."""
    connection = context.client.connections[0]
    many = pb.RecommendManyRequest(users=["t%d" % number for number in range(1000)], k=20)
    frame = connection.reply_to(connection.send("RecommendMany", many, timeout=1e-6))
    assert frame.code in (m.DEADLINE_EXCEEDED, m.OK), frame.code
    assert context.client.recommend("user-x", k=3, timeout=600).items


def raw(context):
    connection = socket.create_connection((context.host, context.port), 300)
    return connection


def read_to_end(connection):
    data = b""
    try:
        while True:
            piece = connection.recv(65536)
            if not piece:
                return data
            data += piece
    except ConnectionResetError:
        return data


@check
def broken_frames_end_the_connection(context):
    """The node closes, says goaway where it can, and goes on serving others."""
    hello = m.Frame(m.HELLO, body=pb.Hello(protocol_version=1).SerializeToString()).encode()
    ping = m.Frame(m.PING, call_id=1).encode()
    broken = {
        "no hello": ping,
        "not the protocol": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "version": hello + ping[:4] + b"\x02" + ping[5:],
        "too small": hello + struct.pack(">I", 15) + ping[4:],
        "too large": hello + struct.pack(">I", 0x7FFFFFFF) + ping[4:],
        "extension beyond the frame": hello + ping[:18] + b"\x00\x01",
        "second hello": hello + hello,
        "a welcome": hello + m.Frame(m.WELCOME).encode(),
    }
    for name, data in broken.items():
        connection = raw(context)
        connection.sendall(data)
        answer = read_to_end(connection)
        connection.close()
        kinds = []
        while len(answer) >= 20:
            kinds.append(answer[5])
            answer = answer[4 + struct.unpack(">I", answer[:4])[0]:]
        if data.startswith(hello):
            assert kinds[:1] == [m.WELCOME] and kinds[-1] == m.GOAWAY, "%s: %s" % (name, kinds)
        assert context.client.health().model, name


@check
def pieces(context):
    """Frames may come byte by byte, and many at once."""
    connection = raw(context)
    hello = m.Frame(m.HELLO, body=pb.Hello(protocol_version=1).SerializeToString()).encode()
    for byte in hello + m.Frame(m.PING, call_id=5).encode():
        connection.sendall(bytes([byte]))
    calls = b"".join(
        m.Frame(m.CALL, 5, call_id=number, slot_or_load=m.NO_SLOT).encode() for number in range(1, 51))
    connection.sendall(calls)
    seen, data = set(), b""
    while len(seen) < 51:
        data += connection.recv(65536)
        while len(data) >= 20 and len(data) >= 4 + struct.unpack(">I", data[:4])[0]:
            if data[5] in (m.REPLY, m.PONG):
                seen.add((data[5], struct.unpack(">I", data[8:12])[0]))
            data = data[4 + struct.unpack(">I", data[:4])[0]:]
    assert (m.PONG, 5) in seen and (m.REPLY, 50) in seen
    connection.close()


class Context:
    pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node", metavar="HOST:PORT")
    parser.add_argument("--user", action="append", default=[])
    parser.add_argument("--load", metavar="PATH")
    arguments = parser.parse_args()
    context = Context()
    context.host, port = arguments.node.rsplit(":", 1)
    context.port = int(port)
    context.users, context.load = arguments.user, arguments.load
    try:
        context.client = m.Client(context.host, context.port, name="check_node")
        context.client.wait_until_ready()
    except (OSError, m.ProtocolError, TimeoutError) as error:
        sys.exit("check_node.py: no ready node at %s: %s" % (arguments.node, error))
    failures = 0
    for function in CHECKS:
        try:
            function(context)
            print("ok    %s" % function.__name__)
        except Exception as error:  # every check is reported, whatever it ran into
            failures += 1
            print("FAIL  %s: %s: %s" % (function.__name__, type(error).__name__, error))
            context.client.close()
            context.client = m.Client(context.host, context.port, name="check_node")
    context.client.close()
    print("%d checks, %d failed" % (len(CHECKS), failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
