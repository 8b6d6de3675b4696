"""A client of Martlet's protocol, written from Protos/README.md alone.

Needs Python 3.8 and the `protobuf` package. The message classes come from `martlet_pb2`, which `protoc --python_out`
makes of Protos/martlet/v1/martlet.proto (see run.sh).

    with Client("127.0.0.1", 7400) as client:
        print(client.recommend("196", k=3).items)
"""

import itertools
import socket
import struct
import time

import martlet_pb2 as pb

HEADER = struct.Struct(">IBBBBIIHH")
VERSION = 1
HELLO, WELCOME, CALL, REPLY, CANCEL, PING, PONG, GOAWAY = range(1, 9)
FLAG_TRACE, FLAG_BYPASS_CACHE = 1, 2
FLAG_CACHED, FLAG_RETRY_IS_SAFE = 1, 2
NO_SLOT = 0xFFFF
SLOTS = 16384
PARTITION_MAP_VERSION = 1
FRAME_BYTES_MAX_DEFAULT = 1 << 20

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = range(6)
PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, UNIMPLEMENTED, UNAVAILABLE = 7, 8, 9, 12, 14

METHODS = {
    "Recommend": (1, pb.RecommendReply),
    "RecommendMany": (2, pb.RecommendManyReply),
    "SimilarItems": (3, pb.SimilarItemsReply),
    "GetItem": (4, pb.GetItemReply),
    "Health": (5, pb.HealthReply),
    "ListModels": (6, pb.ListModelsReply),
    "LoadModel": (7, pb.LoadModelReply),
    "Rank": (8, pb.RankReply),
}


class ProtocolError(Exception):
    """The other side does not keep to the protocol."""


class CallError(Exception):
    """A reply with a status other than OK."""

    def __init__(self, status, message, retry_is_safe, retry_after_milliseconds):
        super().__init__("status %d: %s" % (status, message))
        self.status = status
        self.message = message
        self.retry_is_safe = retry_is_safe
        self.retry_after_milliseconds = retry_after_milliseconds


def xxh64(data, seed=0):
    """XXH64 of bytes, as the xxHash specification describes it."""
    mask = (1 << 64) - 1
    p1, p2, p3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    p4, p5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5

    def rotate(value, bits):
        return ((value << bits) | (value >> (64 - bits))) & mask

    def step(accumulator, lane):
        return rotate((accumulator + lane * p2) & mask, 31) * p1 & mask

    at, count = 0, len(data)
    if count >= 32:
        lanes = [(seed + p1 + p2) & mask, (seed + p2) & mask, seed, (seed - p1) & mask]
        while at + 32 <= count:
            for index, word in enumerate(struct.unpack_from("<4Q", data, at)):
                lanes[index] = step(lanes[index], word)
            at += 32
        result = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18))) & mask
        for lane in lanes:
            result = ((result ^ step(0, lane)) * p1 + p4) & mask
    else:
        result = (seed + p5) & mask
    result = (result + count) & mask
    while at + 8 <= count:
        result = (rotate(result ^ step(0, struct.unpack_from("<Q", data, at)[0]), 27) * p1 + p4) & mask
        at += 8
    if at + 4 <= count:
        result = (rotate(result ^ (struct.unpack_from("<I", data, at)[0] * p1 & mask), 23) * p2 + p3) & mask
        at += 4
    for byte in data[at:]:
        result = rotate(result ^ (byte * p5 & mask), 11) * p1 & mask
    result = (result ^ (result >> 33)) * p2 & mask
    result = (result ^ (result >> 29)) * p3 & mask
    return result ^ (result >> 32)


def slot_of(user):
    """The slot of a user ID."""
    return xxh64(user.encode("utf-8")) % SLOTS


def shard_of(slot, shard_count):
    """The shard that owns a slot."""
    return slot * shard_count // SLOTS


class Frame:
    """A header and what follows it."""

    def __init__(self, kind, code=0, flags=0, call_id=0, microseconds=0, slot_or_load=0, extension=b"", body=b""):
        self.kind = kind
        self.code = code
        self.flags = flags
        self.call_id = call_id
        self.microseconds = microseconds
        self.slot_or_load = slot_or_load
        self.extension = extension
        self.body = body

    def encode(self):
        length = 16 + len(self.extension) + len(self.body)
        header = HEADER.pack(
            length, VERSION, self.kind, self.code, self.flags, self.call_id, self.microseconds, self.slot_or_load,
            len(self.extension))
        return header + self.extension + self.body


class Connection:
    """One TCP connection after its handshake. Calls may be sent many at a time; see `send` and `reply_to`."""

    def __init__(self, host, port, shard=None, name="python", timeout=300.0):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.frame_bytes_max = FRAME_BYTES_MAX_DEFAULT
        self.ids = itertools.count(1)
        self.replies = {}
        self.pongs = set()
        self.goaway = None
        hello = pb.Hello(
            protocol_version=1, partition_map_version=PARTITION_MAP_VERSION,
            shard_plus_one=0 if shard is None else shard + 1, client_name=name)
        self.send_frame(Frame(HELLO, body=hello.SerializeToString()))
        frame = self.read_frame()
        if frame.kind == GOAWAY:
            raise ProtocolError("turned away: " + pb.Goaway.FromString(frame.body).reason)
        if frame.kind != WELCOME:
            raise ProtocolError("a frame of kind %d instead of a welcome" % frame.kind)
        self.welcome = pb.Welcome.FromString(frame.body)
        self.frame_bytes_max = self.welcome.frame_bytes_max
        self.routes = self.welcome.partition_map_version == PARTITION_MAP_VERSION

    def close(self):
        self.socket.close()

    # Frames

    def send_frame(self, frame):
        self.socket.sendall(frame.encode())

    def read_exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise ConnectionError("the node closed the connection")
            data += piece
        return data

    def read_frame(self):
        """The next frame of a kind that this client knows."""
        while True:
            fields = HEADER.unpack(self.read_exactly(HEADER.size))
            length, version, kind, code, flags, call_id, microseconds, slot_or_load, extension_bytes = fields
            if version != VERSION:
                raise ProtocolError("frame version %d" % version)
            if length < 16 or length > self.frame_bytes_max or extension_bytes > length - 16:
                raise ProtocolError("frame of %d bytes with an extension of %d" % (length, extension_bytes))
            rest = self.read_exactly(length - 16)
            if HELLO <= kind <= GOAWAY:
                return Frame(
                    kind, code, flags, call_id, microseconds, slot_or_load, rest[:extension_bytes],
                    rest[extension_bytes:])

    # Calls

    def send(self, method, request, timeout=None, slot=NO_SLOT, bypass_cache=False, trace=None):
        """Sends a call and returns its id; `method` is a name of METHODS or a number."""
        code = METHODS[method][0] if isinstance(method, str) else method
        call_id = next(self.ids) & 0xFFFFFFFF
        flags = (FLAG_BYPASS_CACHE if bypass_cache else 0) | (FLAG_TRACE if trace else 0)
        microseconds = 0 if timeout is None else max(1, int(timeout * 1e6))
        body = request if isinstance(request, bytes) else request.SerializeToString()
        self.send_frame(Frame(CALL, code, flags, call_id, microseconds, slot if self.routes else NO_SLOT, trace or b"", body))
        return call_id

    def cancel(self, call_id):
        self.send_frame(Frame(CANCEL, call_id=call_id))

    def ping(self, number=7):
        """Sends a ping and waits for its pong."""
        self.send_frame(Frame(PING, call_id=number))
        while number not in self.pongs:
            self.take(self.read_frame())
        self.pongs.discard(number)

    def take(self, frame):
        if frame.kind == REPLY:
            self.replies[frame.call_id] = frame
        elif frame.kind == PING:
            self.send_frame(Frame(PONG, call_id=frame.call_id))
        elif frame.kind == PONG:
            self.pongs.add(frame.call_id)
        elif frame.kind == GOAWAY:
            self.goaway = pb.Goaway.FromString(frame.body).reason
        else:
            raise ProtocolError("a frame of kind %d does not belong here" % frame.kind)

    def reply_to(self, call_id):
        """Waits for the reply to a call, keeping others for later."""
        while call_id not in self.replies:
            self.take(self.read_frame())
        return self.replies.pop(call_id)

    def finish(self, method, call_id):
        """The reply message of a call, or CallError."""
        frame = self.reply_to(call_id)
        if frame.code == OK:
            return METHODS[method][1].FromString(frame.body)
        error = pb.Error.FromString(frame.body)
        raise CallError(
            frame.code, error.message, bool(frame.flags & FLAG_RETRY_IS_SAFE), error.retry_after_milliseconds)

    def call(self, method, request, **options):
        return self.finish(method, self.send(method, request, **options))


class Client:
    """A connection for each shard of a node; a call about a user goes to the user's shard."""

    def __init__(self, host, port, name="python"):
        first = Connection(host, port, shard=0, name=name)
        self.connections = [first]
        self.shard_count = first.welcome.shard_count if first.routes else 1
        for shard in range(1, self.shard_count):
            self.connections.append(Connection(host, port, shard=shard, name=name))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for connection in self.connections:
            connection.close()

    def connection_of(self, user):
        return self.connections[shard_of(slot_of(user), self.shard_count)]

    def recommend(self, user, k=0, timeout=None, **fields):
        request = pb.RecommendRequest(user=user, k=k, **fields)
        return self.connection_of(user).call("Recommend", request, timeout=timeout, slot=slot_of(user))

    def recommend_many(self, users, k=0, **fields):
        return self.connections[0].call("RecommendMany", pb.RecommendManyRequest(users=users, k=k, **fields))

    def similar_items(self, item, k=0, **fields):
        return self.connections[0].call("SimilarItems", pb.SimilarItemsRequest(item=item, k=k, **fields))

    def rank(self, user, items, **fields):
        request = pb.RankRequest(user=user, items=items, **fields)
        return self.connection_of(user).call("Rank", request, slot=slot_of(user))

    def get_item(self, item):
        return self.connections[0].call("GetItem", pb.GetItemRequest(item=item))

    def health(self):
        return self.connections[0].call("Health", pb.HealthRequest())

    def list_models(self):
        return self.connections[0].call("ListModels", pb.ListModelsRequest())

    def load_model(self, path):
        return self.connections[0].call("LoadModel", pb.LoadModelRequest(path=path))

    def wait_until_ready(self, seconds=300.0):
        end = time.monotonic() + seconds
        while self.health().state != pb.HealthReply.STATE_READY:
            if time.monotonic() > end:
                raise TimeoutError("the node did not become ready")
            time.sleep(0.05)
