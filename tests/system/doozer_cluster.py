"""The harness of the tests of clusters: real servers that know each other, and a load on them.

A writer is one connection after the other to one server, or to the next when that one is gone. It
never writes a path twice, so that what became of each of its writes is told by one file.
"""
import json
import os
import threading
import time

import doozer_system
from doozer_system import Closed

TELL_MORE = 2     # mode: an error says whether the write may have happened
LINEARIZABLE = 1  # mode
UNKNOWN = 2       # outcome
SETTLED_SECONDS = 30


def wait_until(what, condition, seconds=SETTLED_SECONDS):
    """Asks until the condition gives something true, and gives that."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError('not within %s s: %s' % (seconds, what))
        time.sleep(0.02)


class Writer(threading.Thread):
    """Writes one file after the other, one at a time, until told to stop."""

    def __init__(self, name, servers):
        super().__init__(daemon=True)
        self.name, self.servers = name, servers  # the first is its own, the others a way out
        self.acknowledged = {}  # path -> revision
        self.unknown = []       # paths that may have been written
        self.refused = 0
        self.times = []         # of each acknowledgement, in seconds of the monotonic clock
        self.failed = None
        self.ended = threading.Event()
        self.client = None
        self.at = 0

    def run(self):
        try:
            number = 0
            while not self.ended.is_set():
                self.write('/load/%s/%d' % (self.name, number))
                number += 1
        except Exception as e:  # the test fails with it when it stops the load
            self.failed = e
        finally:
            self.leave()

    def write(self, path):
        """Tries until the write is acknowledged or may have been done."""
        while not self.ended.is_set():
            try:
                client = self.connected()
            except (OSError, Closed):
                self.next_server()
                continue
            try:
                answer = client.set(path, path, rev=0, mode=TELL_MORE)
            except (OSError, Closed):
                self.unknown.append(path)
                self.next_server()
                return
            if answer.err is None:
                self.acknowledged[path] = answer.rev
                self.times.append(time.monotonic())
                return
            if answer.get('outcome') == UNKNOWN:
                self.unknown.append(path)
                self.leave()  # this connection takes no further write
                return
            if answer.err != 'READONLY':
                raise AssertionError('SET %s: %r' % (path, answer))
            self.refused += 1
            self.next_server()

    def connected(self):
        if self.client is not None and doozer_system.select_readable(self.client.sock, 0):
            self.leave()  # closed while nothing was asked: no write is lost in it
        if self.client is None:
            self.client = self.servers[self.at % len(self.servers)].client()
        return self.client

    def next_server(self):
        self.leave()
        self.at += 1
        time.sleep(0.005)

    def leave(self):
        if self.client is not None:
            self.client.close()
            self.client = None

    def longest_gap(self, begin, end):
        """The longest time without an acknowledgement in that span, in seconds."""
        inside = [begin, *[t for t in self.times if begin < t < end], end]
        return max(b - a for a, b in zip(inside, inside[1:]))


class Load:
    """A writer for each server; `roam` lets it go to another server when its own is gone."""

    def __init__(self, test, servers, roam=True):
        self.test = test
        self.writers = []
        for n in range(len(servers)):
            ways = servers[n:] + servers[:n] if roam else [servers[n]]
            self.writers.append(Writer('%d.%d' % (test.loads, n), ways))
        test.loads += 1

    def __enter__(self):
        for writer in self.writers:
            writer.start()
        self.go_on(20)
        return self

    def __exit__(self, *_):
        self.stop()

    def acknowledged(self):
        out = {}
        for writer in self.writers:
            out.update(writer.acknowledged)
        return out

    def go_on(self, more, writers=None, seconds=SETTLED_SECONDS):
        """Waits until each of the writers has so many more acknowledged."""
        goals = [(w, len(w.times) + more) for w in writers or self.writers]
        wait_until('%d more writes by each' % more, lambda: all(
            len(w.times) >= goal or not w.is_alive() for w, goal in goals), seconds)
        self.check_alive()

    def check_alive(self):
        for writer in self.writers:
            if writer.failed is not None:
                raise writer.failed

    def stop(self):
        for writer in self.writers:
            writer.ended.set()
        for writer in self.writers:
            writer.join(2 * doozer_system.ANSWER_SECONDS)
            self.test.assertFalse(writer.is_alive(), 'a writer hangs')
        self.check_alive()


class ClusterTest(doozer_system.SystemTest):
    """Makes clusters of real servers."""

    def setUp(self):
        super().setUp()
        self.loads = 0

    def servers_of(self, count, *args, boot=True, **options):
        """Servers that know each other's addresses; the first boots."""
        ports = set()
        while len(ports) < count:
            ports.add(doozer_system.free_port())
        servers = []
        for n, port in enumerate(sorted(ports)):
            others = [word for other in sorted(ports) if other != port
                      for word in ('-a', '127.0.0.1:%d' % other)]
            first = ['--boot', '--slots', str(count)] if boot and n == 0 else []
            servers.append(self.server(*args, *first, *others, port=port, **options))
        return servers

    def cluster(self, count=3, *args, **options):
        """A running cluster, all of them members."""
        servers = self.servers_of(count, *args, **options)
        for server in servers:
            server.spawn()
        for server in servers:
            server.wait_ready()
        self.wait_members(servers)
        return servers

    def wait_members(self, servers):
        wait_until('all are members', lambda: all(
            len(self.members(server)) == len(servers) for server in servers))

    def status(self, server):
        with server.client() as c:
            secret = server.environment.get('DOOZER_RWSECRET')
            if secret:
                self.ok(c.call('ACCESS', value=secret))
            return json.loads(self.ok(c.call('STATUS')).value)

    def members(self, server):
        return [s['identity'] for s in self.status(server)['servers'] if s['role'] == 'member']

    def identity(self, server):
        return self.status(server)['identity']

    def leader(self, servers):
        """The server that leads, once all who run agree."""

        def agreed():
            statuses = {server: self.status(server) for server in servers if server.running()}
            named = {status['leader'] for status in statuses.values()}
            for server, status in statuses.items():
                if named == {status['identity']} and status['role'] == 'leader':
                    return server
            return None

        return wait_until('all agree on a leader', agreed)

    def writable(self, server):
        """Whether a write passes there, now."""
        try:
            with server.client() as c:
                return c.set('/writable', 'x', mode=TELL_MORE).err is None
        except (OSError, Closed):
            return False

    def check_kept(self, servers, acknowledged):
        """Every acknowledged write is there, with its revision, at every server."""
        self.assertGreater(len(acknowledged), 0)
        for server in servers:
            with server.client() as c:
                # A walk reads the state of this server: it must first have what is acknowledged.
                rev = self.ok(c.call('REV', mode=LINEARIZABLE)).rev
                found = {path: (value.decode(), at)
                         for path, value, at in c.walk('/load/**', rev=rev)}
            for path, at in acknowledged.items():
                self.assertEqual(found.get(path), (path, at), 'at %s' % server.address)

    def log_names(self, server, pattern, *names, seconds=10):
        """Waits for a line of the log that matches and names all of them."""

        def line():
            for found in server.log().splitlines():
                if pattern in found and all(name in found for name in names):
                    return found
            return None

        return wait_until('%r with %s in the log of %s' % (pattern, names, server.address), line,
                          seconds)

    def no_data(self, server):
        return not os.path.exists(os.path.join(server.data, 'identity'))
