"""A client that does not wait: it begins writes at fixed times, whatever the answers do, and takes
the time of each from when it should have begun. One loop over many connections, for three
protocols: Doozer's, etcd's (gRPC: the few HTTP/2 frames that a Put needs) and ZooKeeper's.
"""
import collections
import selectors
import socket
import struct
import time

import doozer_system
from doozer_cluster import TELL_MORE

KEYS = 1000
VALUE = b'v' * 4096


class DoozerWire:
    hello, greeting_bytes = b'', 0
    # The field `outcome`, which no answer to a SET has unless it failed. Nothing else in one can
    # look like it: revisions are followed by other fields, and all the rest is text.
    REFUSED, UNKNOWN = b'\xa8\x01\x01', b'\xa8\x01\x02'

    def __init__(self):
        self.rests = [doozer_system.encode_request(verb='SET', path='/load/%d' % k, value=VALUE,
                                                   rev=-1, mode=TELL_MORE) for k in range(KEYS)]

    def request(self, number):
        body = b'\x08' + doozer_system.varint(number) + self.rests[number % KEYS]
        return struct.pack('>I', len(body)) + body

    @staticmethod
    def tag(data, at):
        number = shift = 0
        while True:
            number |= (data[at] & 0x7f) << shift
            if data[at] < 0x80:
                return number
            at, shift = at + 1, shift + 7

    def answers(self, data):
        """Takes what is whole from the front of it; gives (number, outcome)s and what to send."""
        found, at = [], 0
        while len(data) - at >= 4:
            size = struct.unpack_from('>I', data, at)[0]
            if len(data) - at - 4 < size:
                break
            answer = bytes(data[at + 4:at + 4 + size])
            found.append((self.tag(answer, 1), 'refused' if self.REFUSED in answer else
                          'lost' if self.UNKNOWN in answer else 'done'))
            at += 4 + size
        del data[:at]
        return found, b''


class EtcdWire:
    DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
    END_STREAM, END_HEADERS, ACK = 1, 4, 1
    INITIAL_WINDOW = 4
    greeting_bytes = 0

    def __init__(self):
        def text(data):
            return bytes([len(data)]) + data

        # Literals that are not indexed: every request has the same bytes.
        self.headers = (b'\x83\x86\x04' + text(b'/etcdserverpb.KV/Put') + b'\x01' + text(b'etcd') +
                        b'\x0f\x10' + text(b'application/grpc') + b'\x00' + text(b'te') +
                        text(b'trailers'))
        self.puts = []
        for k in range(KEYS):
            key = b'/load/%d' % k
            put = b'\x0a' + text(key) + b'\x12' + doozer_system.varint(len(VALUE)) + VALUE
            self.puts.append(b'\0' + struct.pack('>I', len(put)) + put)
        large = (1 << 31) - 1
        self.hello = (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' +
                      self.frame(self.SETTINGS, 0, 0,
                                 struct.pack('>HI', self.INITIAL_WINDOW, large)) +
                      self.frame(self.WINDOW_UPDATE, 0, 0, struct.pack('>I', large - 65_535)))
        self.has_data = set()

    @staticmethod
    def frame(kind, flags, stream, payload):
        return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack(
            '>I', stream) + payload

    def request(self, number):
        stream = 2 * number + 1
        return (self.frame(self.HEADERS, self.END_HEADERS, stream, self.headers) +
                self.frame(self.DATA, self.END_STREAM, stream, self.puts[number % KEYS]))

    def answers(self, data):
        found, back, at = [], b'', 0
        while len(data) - at >= 9:
            size = int.from_bytes(data[at:at + 3], 'big')
            if len(data) - at - 9 < size:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5:at + 9], 'big')
            payload = bytes(data[at + 9:at + 9 + size])
            at += 9 + size
            if kind in (self.SETTINGS, self.PING) and not flags & self.ACK:
                back += self.frame(kind, self.ACK, 0, payload if kind == self.PING else b'')
            elif kind == self.GOAWAY:
                raise ConnectionError('the server goes away')
            elif kind == self.DATA:
                self.has_data.add(stream)  # only a Put that was done is answered with a message
            elif kind == self.HEADERS and flags & self.END_STREAM:
                done = stream in self.has_data
                self.has_data.discard(stream)
                found.append((stream // 2, 'done' if done else 'refused'))
        del data[:at]
        return found, back


class ZooKeeperWire:
    OPEN, SET_DATA, CREATE = struct.Struct('>iqiqi16s'), 5, 1
    greeting_bytes = 40

    def __init__(self, kind=SET_DATA):
        opening = self.OPEN.pack(0, 0, 30_000, 0, 16, bytes(16))
        self.hello = struct.pack('>i', len(opening)) + opening
        self.kind = kind
        tail = struct.pack('>i', -1) if kind == self.SET_DATA else (
            struct.pack('>ii', 1, 31) + self.text(b'world') + self.text(b'anyone') +
            struct.pack('>i', 0))
        self.rests = [self.text(b'/load%d' % k) + self.text(VALUE) + tail for k in range(KEYS)]

    @staticmethod
    def text(data):
        return struct.pack('>i', len(data)) + data

    def request(self, number):
        rest = self.rests[number % KEYS]
        return struct.pack('>iii', 8 + len(rest), number + 1, self.kind) + rest

    def answers(self, data):
        found, at = [], 0
        while len(data) - at >= 4:
            size = struct.unpack_from('>i', data, at)[0]
            if len(data) - at - 4 < size:
                break
            number, _, error = struct.unpack_from('>iqi', data, at + 4)
            found.append((number - 1, 'done' if error == 0 else 'refused'))
            at += 4 + size
        del data[:at]
        return found, b''


WIRES = {'doozer': DoozerWire, 'etcd': EtcdWire, 'zookeeper': ZooKeeperWire}


class Connection:

    def __init__(self, make_socket, make_wire):
        self.sock, self.wire = make_socket(), make_wire()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(self.wire.hello)
        left = self.wire.greeting_bytes
        while left > 0:
            data = self.sock.recv(left)
            if not data:
                raise ConnectionError('closed')
            left -= len(data)
        self.sock.setblocking(False)
        self.out, self.into = bytearray(), bytearray()
        self.begun = {}  # number -> when
        self.numbers = 0

    def begin(self, when):
        self.begun[self.numbers] = when
        self.out += self.wire.request(self.numbers)
        self.numbers += 1

    def send(self):
        try:
            while self.out:
                sent = self.sock.send(memoryview(self.out)[:1 << 18])
                del self.out[:sent]
        except BlockingIOError:
            pass


class Tally:

    def __init__(self):
        self.latencies = []
        self.counts = collections.Counter()  # done, refused, lost; began


class Load:
    """Writes over connections, each made by one of `makers`; one that breaks is made anew."""

    def __init__(self, makers, make_wire):
        self.make_wire = make_wire
        self.latest = 0.0  # how late a write was begun, at the worst
        self.selector = selectors.DefaultSelector()
        self.connections = []
        for maker in makers:
            self.connect(maker)
        self.tally = Tally()

    def connect(self, maker):
        connection = Connection(maker, self.make_wire)
        connection.maker = maker
        self.selector.register(connection.sock, selectors.EVENT_READ, connection)
        self.connections.append(connection)

    def close(self):
        for connection in self.connections:
            connection.sock.close()
        self.selector.close()

    def broke(self, connection):
        self.tally.counts['lost'] += len(connection.begun)
        self.tally.counts['connections lost'] += 1
        self.selector.unregister(connection.sock)
        connection.sock.close()
        self.connections.remove(connection)
        try:
            self.connect(connection.maker)
        except OSError:
            pass

    def turn(self, seconds):
        """Takes what has come and sends what waits; gives the connections and how many answers."""
        came = []
        for key, _ in self.selector.select(seconds):
            connection = key.data
            try:
                data = connection.sock.recv(1 << 18)
                if not data:
                    raise ConnectionError('closed')
                connection.into += data
                answers, back = connection.wire.answers(connection.into)
            except BlockingIOError:
                continue
            except OSError:
                self.broke(connection)
                continue
            connection.out += back
            now = time.monotonic()
            for number, outcome in answers:
                self.tally.counts[outcome] += 1
                began = connection.begun.pop(number)
                if outcome == 'done':
                    self.tally.latencies.append(now - began)
            came.append((connection, len(answers)))
        return came

    def flush(self):
        for connection in list(self.connections):
            if connection.out:
                try:
                    connection.send()
                except OSError:
                    self.broke(connection)

    def closed(self, in_flight_each, seconds):
        """As many at once as told, for so long; gives how many were done a second."""
        for connection in self.connections:
            for _ in range(in_flight_each):
                connection.begin(time.monotonic())
        self.flush()
        begun, self.tally = time.monotonic(), Tally()
        while time.monotonic() < begun + seconds:
            for connection, answered in self.turn(0.01):
                for _ in range(answered):
                    connection.begin(time.monotonic())
            self.flush()
        return self.tally.counts['done'] / (time.monotonic() - begun)

    def drain(self, seconds):
        end = time.monotonic() + seconds
        while any(c.begun for c in self.connections) and time.monotonic() < end:
            self.turn(0.01)
            self.flush()
        return sum(len(c.begun) for c in self.connections)

    def open(self, rate, seconds):
        """Begins so many a second."""
        self.tally = Tally()
        begun = time.monotonic()
        due = 0
        self.latest = 0.0
        while (now := time.monotonic()) < begun + seconds:
            while due < (now - begun) * rate and self.connections:
                self.latest = max(self.latest, now - begun - due / rate)
                self.connections[due % len(self.connections)].begin(begun + due / rate)
                due += 1
            self.flush()
            self.turn(0.001)
        self.tally.counts['began'] = due
        return self.tally
