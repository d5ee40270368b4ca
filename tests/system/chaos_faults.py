"""What is done to a cluster, and the proof that it bit.

A fault is a context manager: entered, it breaks something and waits until the break shows (a link
that a server gave up, a leader that was replaced, a sync that came late); left, it mends that. One
that does not show raises NotBitten, and the run fails: a fault that did nothing proves nothing.
"""
import contextlib
import glob
import mmap
import os
import signal
import struct
import subprocess
import time
from datetime import datetime

import doozer_system
import doozer_wire
from doozer_net import both
from doozer_system import Closed

HERE = os.path.dirname(os.path.abspath(__file__))
FAULTS = {}      # name -> context manager of a world, gives the proof
BACKGROUND = []  # those that go on while another one happens


class NotBitten(AssertionError):
    pass


def fault(function):
    FAULTS[function.__name__] = contextlib.contextmanager(function)
    return function


def background(function):
    BACKGROUND.append(function.__name__)
    return fault(function)


class SyncControl:
    """What slow_sync.c is told, and what it counts."""

    LAYOUT = struct.Struct('IIII')  # delay_ms, fail, delayed, failed

    def __init__(self, path):
        self.path = path
        with open(path, 'w+b') as f:
            f.write(bytes(self.LAYOUT.size))
            f.flush()
            self.map = mmap.mmap(f.fileno(), self.LAYOUT.size)

    def tell(self, delay_ms=0, fail=0):
        struct.pack_into('II', self.map, 0, delay_ms, fail)

    def counts(self):
        """How many syncs were delayed, and how many failed."""
        return self.LAYOUT.unpack(self.map[:])[2:]


def build_slow_sync(directory):
    library = os.path.join(directory, 'slow_sync.so')
    subprocess.run([os.environ.get('CC', 'cc'), '-shared', '-fPIC', '-O2', '-Wall', '-o', library,
                    os.path.join(HERE, 'slow_sync.c')], check=True)
    return library


def fake_time():
    found = glob.glob('/usr/lib/*/faketime/libfaketimeMT.so.1')
    if not found:
        raise AssertionError('libfaketime is not installed (Debian: faketime)')
    return found[0]


class World:
    """A cluster on machines of its own, each with a clock and a disk that can be broken."""

    PROOF_SECONDS = 20  # within which each break shows

    def __init__(self, net, servers, rng, directory):
        self.net, self.servers, self.rng, self.directory = net, servers, rng, directory
        self.wire = doozer_wire.Wire(net)
        library = build_slow_sync(directory)
        self.syncs, self.clocks = {}, {}
        for server in servers:
            sync = self.syncs[server] = SyncControl(os.path.join(server.directory, 'sync'))
            clock = self.clocks[server] = os.path.join(server.directory, 'clock')
            self.set_clock(server, 0)
            # The monotonic clock stays: every time-out is by it. It is what people set that jumps.
            server.environment.update(
                LD_PRELOAD='%s:%s' % (library, fake_time()), SLOW_SYNC_CONTROL=sync.path,
                FAKETIME_TIMESTAMP_FILE=clock, FAKETIME_CACHE_DURATION='1',
                FAKETIME_DONT_FAKE_MONOTONIC='1')

    def set_clock(self, server, seconds):
        with open(self.clocks[server] + '.new', 'w') as f:
            f.write('%+d\n' % seconds)
        os.replace(self.clocks[server] + '.new', self.clocks[server])

    def close(self):
        self.wire.close()

    def pick(self, count=1, besides=()):
        return self.rng.sample([s for s in self.servers if s not in besides], count)

    def hold(self):
        """Long enough for time-outs to pass, or not."""
        time.sleep(self.rng.uniform(0.1, 1.0))

    def proven(self, what, condition):
        deadline = time.monotonic() + self.PROOF_SECONDS
        while True:
            try:
                found = condition()
            except (OSError, Closed):
                found = None  # it is busy with the fault
            if found:
                return found
            if time.monotonic() > deadline:
                raise NotBitten('not within %d s: %s' % (self.PROOF_SECONDS, what))
            time.sleep(0.05)

    def status(self, server):
        return server.status(timeout=3)

    def leader(self, besides=()):
        """Who leads, when all servers agree that are not left out."""

        def agreed():
            told = {s: self.status(s) for s in self.servers if s not in besides}
            names = {status['leader'] for status in told.values()}
            return next((s for s, status in told.items()
                         if names == {status['identity']} and status['role'] == 'leader'), None)

        return self.proven('all others agree on a leader', agreed)

    def replaced(self, old):
        """Waits until the others follow another one than `old`."""
        others = [s for s in self.servers if s is not old]

        def another():
            names = {self.status(s)['leader'] for s in others}
            return len(names) == 1 and names <= {s.identity for s in others} and names

        return 'led by %s instead of %s' % (*self.proven('a lost leader', another), old.identity)

    def gave_up_link(self, ways, since_us):
        """Waits until one end of each way says that the link is down."""

        def down(here, there):
            return any(e['peer'] == there.identity and e['mono_us'] > since_us
                       for e in here.events('link_down'))

        for a, b in ways:
            self.proven('a link that is down', lambda: down(a, b) or down(b, a))
        return '%d links down' % len({frozenset(way) for way in ways})

    @contextlib.contextmanager
    def cutting(self, *ways):
        """Cuts, and sees packets lost and links given up."""
        numbers = [(a.number, b.number) for a, b in ways]
        lost = {to: self.net.dropped(to) for _, to in numbers}
        since_us = time.monotonic_ns() // 1000
        try:
            self.net.cut(*numbers)
            proof = self.gave_up_link(ways, since_us)
            for to, before in lost.items():
                self.proven('lost packets', lambda: self.net.dropped(to) > before)
            yield proof
        finally:
            self.net.mend(*numbers)

    def come_back(self, *servers):
        for server in servers:
            if not server.running():
                server.spawn()
        for server in servers:
            server.wait_ready()


@fault
def cut(world):
    with world.cutting(*both(*world.pick(2))) as proof:
        yield proof


@fault
def cut_one_way(world):
    with world.cutting(tuple(world.pick(2))) as proof:
        yield proof


@fault
def cut_to_a_chain(world):
    row = world.pick(len(world.servers))
    ways = [way for n, a in enumerate(row) for b in row[n + 2:] for way in both(a, b)]
    with world.cutting(*ways) as proof:
        yield proof


def without_leader(world, ways):
    old = world.leader()
    others = [s for s in world.servers if s is not old]
    with world.cutting(*(way for other in others for way in ways(old, other))) as proof:
        yield proof + ', ' + world.replaced(old)


@fault
def leader_alone(world):
    yield from without_leader(world, both)


@fault
def leader_heard_by_nobody(world):
    yield from without_leader(world, lambda leader, other: [(leader, other)])


@fault
def leader_hears_nobody(world):
    yield from without_leader(world, lambda leader, other: [(other, leader)])


@fault
def kill_one(world):
    one = world.pick()[0]
    one.kill9()
    since_us = time.monotonic_ns() // 1000
    try:
        others = [s for s in world.servers if s is not one]
        world.proven('a peer that is gone', lambda: any(
            e['peer'] == one.identity for s in others for e in s.events('link_down')
            if e['mono_us'] > since_us - 1_000_000))
        yield '%s ended with %d' % (one.identity, one.process.returncode)
    finally:
        world.come_back(one)


@fault
def kill_leader(world):
    old = world.leader()
    old.kill9()
    try:
        yield world.replaced(old)
    finally:
        world.come_back(old)


@fault
def kill_all(world):
    lives = {s: world.status(s)['incarnation'] for s in world.servers}
    for server in world.servers:
        server.process.kill()
    for server in world.servers:
        server.process.wait()
    world.come_back(*world.servers)
    for server, before in lives.items():
        world.proven('another life', lambda: world.status(server)['incarnation'] > before)
    yield 'all are in another life'


@fault
def pause_leader(world):
    old = world.leader()
    old.signal(signal.SIGSTOP)
    try:
        yield world.replaced(old)
    finally:
        old.signal(signal.SIGCONT)


@background
def wall_clock(world):
    one, seconds = world.pick()[0], world.rng.choice((-1, 1)) * world.rng.randint(60, 86_400)

    def ahead():
        """How far its clock is from ours, by a line that it logs now."""
        with one.client() as c:
            c.raw(b'\x00\x00\x00\x01\xff')  # no request: it says so, and closes
            c.closed_by_server()
        line = one.events('connection_closed')[-1]
        age = (time.monotonic_ns() // 1000 - line['mono_us']) / 1e6
        told = datetime.fromisoformat(line['time'].replace('Z', '+00:00')).timestamp()
        return told - (time.time() - age)

    world.set_clock(one, seconds)
    try:
        world.proven('a clock that is wrong', lambda: abs(ahead() - seconds) < 30)
        yield 'the clock of %s is %+d s off' % (one.identity, seconds)
    finally:
        world.set_clock(one, 0)


@background
def slow_wire(world):
    a, b = world.pick(2)
    delay_ms = world.rng.randint(10, 40)
    world.wire.begin(a.number, b.number, delay_ms, 2 * delay_ms, world.rng.random())
    did = {}

    def late():
        peer = next(s for s in world.status(a)['servers'] if s['identity'] == b.identity)
        return peer['rtt_us'] >= 2 * delay_ms * 1000

    try:
        world.proven('a round trip of %d ms' % (2 * delay_ms), late)
        yield 'round trips of over %d ms' % (2 * delay_ms)
    finally:
        did = world.wire.end(a.number, b.number)
    if did['overtaken'] == 0:
        raise NotBitten('none of %d packets overtook another' % did['packets'])


@background
def slow_disk(world):
    one, delay_ms = world.pick()[0], world.rng.randint(20, 150)
    before = world.syncs[one].counts()[0]
    world.syncs[one].tell(delay_ms=delay_ms)
    try:
        world.proven('a sync that is late', lambda: world.syncs[one].counts()[0] > before and
                     world.status(one)['log']['sync_us_last'] >= delay_ms * 1000)
        yield 'syncs of over %d ms at %s' % (delay_ms, one.identity)
    finally:
        world.syncs[one].tell()


@fault
def stuck_disk_of_leader(world):
    old = world.leader()
    world.syncs[old].tell(delay_ms=60_000)
    try:
        yield world.replaced(old)
    finally:
        world.syncs[old].tell()


@fault
def failing_disk(world):
    one = world.pick()[0]
    world.syncs[one].tell(fail=1)
    try:
        ended = one.process.wait(world.PROOF_SECONDS)
        if world.syncs[one].counts()[1] == 0 or not one.events('log_dead') or ended != 1:
            raise NotBitten('a failed sync must end the server; it ended with %s' % ended)
        yield '%s stopped' % one.identity
    except subprocess.TimeoutExpired:
        raise NotBitten('the server goes on after a failed sync')
    finally:
        world.syncs[one].tell()
        world.come_back(one)
