#!/usr/bin/env python3
"""The same partial partitions for Doozer, etcd and ZooKeeper, side by side: who can still write?

    tests/system/compare_partitions.py                       # all of them, some ten minutes
    tests/system/compare_partitions.py etcd chain-of-five    # some, by name

A client at each server writes there and nowhere else. A shape is cut, the first server being the
leader, and held; printed are, for each server, how many of its writes passed in the second half of
that time and the longest time without one, and how often the leader changed. Every system has its
defaults. Not a test: what it prints of others is told in docs/mesh.md.

etcd and ZooKeeper come from Debian (etcd-server, zookeeper). OTHERS_ROOT names another root than /
in which they were unpacked.
"""
import argparse
import base64
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import doozer_net
import doozer_system
import partition_test
from doozer_cluster import TELL_MORE, UNKNOWN, wait_until
from doozer_net import both
from partition_test import all_but

ROOT = os.environ.get('OTHERS_ROOT', '/')
WRITE_SECONDS = 2  # a client gives up and asks again
BOOT_SECONDS = 60
SHAPES = {  # servers, ways that are cut
    'leader-link': (3, both(0, 2)),
    'one-way-from-the-leader': (3, [(0, 2)]),
    'one-way-to-the-leader': (3, [(2, 0)]),
    'leader-heard-by-nobody': (3, [(0, 1), (0, 2)]),
    'leader-hears-nobody': (3, [(1, 0), (2, 0)]),
    'chain-of-five': (5, all_but(partition_test.chain, 5)),
    'ring-of-five': (5, all_but(partition_test.ring, 5)),
    'star-of-five': (5, all_but(partition_test.star, 5)),
    'bridge-of-five': (5, all_but(partition_test.bridge, 5)),
    'leader-sends-to-one-of-four': (5, [(0, other) for other in range(2, 5)]),
}


class Session:
    """A connection to one server, which writes one thing after the other."""

    def __init__(self, write, close):
        self.write, self.close = write, close  # what write gives: 'done', 'refused', 'lost'


class System:
    """A cluster of one kind of server on machines of its own."""

    def __init__(self, net, directory):
        self.net, self.directory = net, directory
        self.count = len(net.spaces)
        self.processes = {}

    def spawn(self, number, command, **environment):
        with open(os.path.join(self.directory, 'log%d' % number), 'ab') as log, \
                self.net.spaces[number]:
            self.processes[number] = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'KILL', *command], stdout=log, stderr=log,
                env=doozer_system.clean_environment(**environment))

    def end(self, number, signal_number):
        self.processes[number].send_signal(signal_number)

    def go_on(self, number):
        self.processes[number].send_signal(signal.SIGCONT)

    def is_gone(self, number):
        """Whether its process was ended, or is about to."""
        return self.processes[number].poll() is not None

    def restart(self, number):
        self.start_one(number)

    def handing_over(self, number):
        """Seconds from when that server began to stop until another one led; None: not known."""
        del number

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()

    def own(self, number):
        return os.path.join(self.directory, 'data%d' % number)

    def start(self):
        for number in range(self.count):
            self.start_one(number)

    def ready(self):
        return all(self.tries(self.write, number) for number in range(self.count))

    @staticmethod
    def tries(do, *args):
        try:
            return do(*args)
        except (OSError, http.client.HTTPException, doozer_system.Closed, struct.error):
            return None


class Doozer(System):

    def start(self):
        self.servers = doozer_net.make_machines(self.net, self.directory, '--insecure-peers')
        for number in range(self.count):
            self.start_one(number)

    def start_one(self, number):
        self.processes[number] = self.servers[number].spawn().process

    def ready(self):
        return super().ready() and all(
            sum(s['role'] == 'member' for s in server.status()['servers']) == self.count
            for server in self.servers)

    def write(self, number):
        with self.servers[number].client(timeout=WRITE_SECONDS) as c:
            return c.set('/x', 'y', mode=TELL_MORE).err is None

    def session(self, number, seconds):
        client = self.servers[number].client(timeout=seconds)

        def write():
            answer = client.set('/x', 'y', mode=TELL_MORE)
            if answer.err is None:
                return 'done'
            return 'lost' if answer.get('outcome') == UNKNOWN else 'refused'

        return Session(write, client.close)

    def handing_over(self, number):
        begun = self.servers[number].events('stopping')[-1]['mono_us']
        led = [record['mono_us'] for server in self.servers
               for record in server.events('cluster_changed')
               if record['role'] == 'leader' and record['mono_us'] > begun]
        return (min(led) - begun) / 1e6 if led else None

    def leader(self, number):
        """Who leads and in which term, as that server says."""
        status = self.servers[number].status(timeout=WRITE_SECONDS)
        ids = {s['identity']: s['self'] for s in status['servers']}
        return status['term'], ids.get(status['leader'], False)


class Etcd(System):

    def start_one(self, number):
        address = 'http://' + self.net.address(number)
        peers = ','.join('n%d=http://%s:2380' % (n, self.net.address(n))
                         for n in range(self.count))
        self.spawn(number, [
            os.path.join(ROOT, 'usr/bin/etcd'), '--name', 'n%d' % number, '--data-dir',
            self.own(number), '--listen-peer-urls', address + ':2380',
            '--initial-advertise-peer-urls', address + ':2380', '--listen-client-urls',
            address + ':2379', '--advertise-client-urls', address + ':2379',
            '--initial-cluster', peers])

    PUT = {name: base64.b64encode(text).decode() for name, text in (('key', b'x'), ('value', b'y'))}

    def connect(self, number, seconds=WRITE_SECONDS):
        connection = http.client.HTTPConnection(self.net.address(number), 2379, timeout=seconds)
        with self.net.spaces[number]:
            connection.connect()
        return connection

    @staticmethod
    def ask(connection, path, body):
        connection.request('POST', path, json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b'{}')

    def post(self, number, path, body):
        connection = self.connect(number)
        try:
            return self.ask(connection, path, body)
        finally:
            connection.close()

    def write(self, number):
        return self.post(number, '/v3/kv/put', self.PUT)[0] == 200

    def session(self, number, seconds):
        connection = self.connect(number, seconds)

        def write():  # what it answers instead (no leader, timed out) leaves the outcome open
            return 'done' if self.ask(connection, '/v3/kv/put', self.PUT)[0] == 200 else 'lost'

        return Session(write, connection.close)

    def leader(self, number):
        _, status = self.post(number, '/v3/maintenance/status', {})
        return int(status.get('raftTerm', 0)), (
            status.get('leader') == status['header']['member_id'])


class ZooKeeper(System):
    OPEN = struct.Struct('>iqiqi16s')
    HEADER = struct.Struct('>ii')
    CREATE, SET_DATA, NO_NODE = 1, 5, -101

    def start_one(self, number):
        os.makedirs(self.own(number), exist_ok=True)
        with open(os.path.join(self.own(number), 'myid'), 'w') as f:
            f.write('%d\n' % (number + 1))
        configuration = self.own(number) + '.cfg'
        with open(configuration, 'w') as f:
            f.write('tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=%s\nclientPort=2181\n'
                    'admin.enableServer=false\n4lw.commands.whitelist=srvr\n' % self.own(number))
            for n in range(self.count):
                f.write('server.%d=%s:2888:3888\n' % (n + 1, self.net.address(n)))
        jars = ':'.join(glob.glob(os.path.join(ROOT, 'usr/share/java/*.jar')))
        self.spawn(number, ['java', '-Xmx256m', '-cp', jars,
                            'org.apache.zookeeper.server.quorum.QuorumPeerMain', configuration])

    def connect(self, number, seconds=WRITE_SECONDS):
        with self.net.spaces[number]:
            sock = socket.create_connection((self.net.address(number), 2181), seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    @staticmethod
    def exchange(sock, body):
        sock.sendall(struct.pack('>i', len(body)) + body)

        def take(size):
            data = b''
            while len(data) < size:
                more = sock.recv(size - len(data))
                if not more:
                    raise ConnectionError('closed')
                data += more
            return data

        return take(struct.unpack('>i', take(4))[0])

    @staticmethod
    def text(data):
        return struct.pack('>i', len(data)) + data

    def error_of(self, sock, kind, body):
        answer = self.exchange(sock, self.HEADER.pack(1, kind) + body)
        return struct.unpack_from('>i', answer, 12)[0]

    def open(self, number, seconds=WRITE_SECONDS):
        sock = self.connect(number, seconds)
        self.exchange(sock, self.OPEN.pack(0, 0, 4000, 0, 16, bytes(16)))
        return sock

    def set(self, sock):
        """The error of writing /x, 0 if it passed."""
        error = self.error_of(sock, self.SET_DATA, self.text(b'/x') + self.text(b'y') +
                              struct.pack('>i', -1))
        if error != self.NO_NODE:
            return error
        return self.error_of(  # for everybody: all rights to "world", "anyone"
            sock, self.CREATE, self.text(b'/x') + self.text(b'y') + struct.pack('>ii', 1, 31) +
            self.text(b'world') + self.text(b'anyone') + struct.pack('>i', 0))

    def write(self, number):
        with self.open(number) as sock:
            return self.set(sock) == 0

    def session(self, number, seconds):
        sock = self.open(number, seconds)
        return Session(lambda: 'done' if self.set(sock) == 0 else 'lost', sock.close)

    def leader(self, number):
        with self.connect(number) as sock:
            sock.sendall(b'srvr')
            said = b''
            while more := sock.recv(4096):
                said += more
        facts = dict(line.split(': ', 1) for line in said.decode().splitlines() if ': ' in line)
        return int(facts.get('Zxid', '0'), 16) >> 32, facts.get('Mode') == 'leader'


SYSTEMS = {'doozer': Doozer, 'etcd': Etcd, 'zookeeper': ZooKeeper}


class Client(threading.Thread):

    def __init__(self, system, number):
        super().__init__(daemon=True)
        self.system, self.number = system, number
        self.tried = []  # (when it ended, whether it passed)
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.05):
            passed = bool(self.system.tries(self.system.write, self.number))
            self.tried.append((time.monotonic(), passed))


def compare(name, shape, seconds):
    count, cuts = SHAPES[shape]
    net = doozer_net.Net(count)
    directory = tempfile.mkdtemp(prefix='doozer-compare-')
    system = SYSTEMS[name](net, directory)
    try:
        system.start()
        wait_until('writes at each server', lambda: system.tries(system.ready), BOOT_SECONDS)
        told = wait_until('a leader', lambda: [
            number for number in range(count)
            if (system.tries(system.leader, number) or (0, False))[1]], BOOT_SECONDS)
        order = told[:1] + [n for n in range(count) if n != told[0]]
        clients = [Client(system, number) for number in order]
        for client in clients:
            client.start()
        time.sleep(1)
        begun = time.monotonic()
        net.cut(*((order[a], order[b]) for a, b in cuts))
        terms = set()
        while time.monotonic() < begun + seconds:
            found = [system.tries(system.leader, number) for number in order]
            terms.add(max(term for term, _ in (f or (0, False) for f in found)))
            time.sleep(0.2)
        for client in clients:
            client.ended.set()
        report(name, shape, clients, begun, seconds, len(terms - {0}))
    finally:
        system.close()
        net.close()
        shutil.rmtree(directory)


def report(name, shape, clients, begun, seconds, terms):
    columns = []
    for client in clients:
        late = [ok for when, ok in client.tried if when > begun + seconds / 2]
        passed = [begun, *(when for when, ok in client.tried if ok and when > begun),
                  begun + seconds]
        columns.append('%3d %% %4.1f s' % (100 * sum(late) / max(1, len(late)), max(
            b - a for a, b in zip(passed, passed[1:]))))
    print('%-10s %-28s %s | %d new terms' % (name, shape, ' | '.join(columns), terms - 1),
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help='systems and shapes: %s' % ', '.join(
        [*SYSTEMS, *SHAPES]))
    parser.add_argument('--hold', type=float, default=30, help='seconds for each')
    options = parser.parse_args()
    unknown = set(options.names) - {*SYSTEMS, *SHAPES}
    if unknown:
        parser.error('there is no %s' % ', '.join(sorted(unknown)))
    doozer_net.prepare()
    print('for each server, the leader first: writes that passed at the end, longest interruption')
    for shape in [s for s in SHAPES if s in options.names] or SHAPES:
        for name in [s for s in SYSTEMS if s in options.names] or SYSTEMS:
            compare(name, shape, options.hold)


if __name__ == '__main__':
    main()
