"""The cluster that chaos_faults.py breaks: machines whose ways, clocks and disks can be spoiled, and
waiting for the proof that it shows.
"""
import contextlib
import glob
import mmap
import os
import struct
import subprocess
import time

import doozer_wire
from doozer_system import Closed

HERE = os.path.dirname(os.path.abspath(__file__))


class NotBitten(AssertionError):
    """A fault left no trace."""


class Control:
    """Memory that a preloaded library shares with this process."""

    LAYOUT = struct.Struct('')

    def __init__(self, path):
        self.path = path
        with open(path, 'w+b') as f:
            f.write(bytes(self.LAYOUT.size))
            f.flush()
            self.map = mmap.mmap(f.fileno(), self.LAYOUT.size)


class SyncControl(Control):
    """What slow_sync.c is told, and what it counts."""

    LAYOUT = struct.Struct('IIII')  # delay_ms, fail, delayed, failed

    def tell(self, delay_ms=0, fail=0):
        struct.pack_into('II', self.map, 0, delay_ms, fail)

    def counts(self):
        """How many syncs were delayed, and how many failed."""
        return self.LAYOUT.unpack(self.map[:])[2:]


class ClockControl(Control):
    """What skewed_clock.c is told."""

    LAYOUT = struct.Struct('qq')  # gain_ppm, jumped_us

    def gain(self, ppm=0):
        struct.pack_into('q', self.map, 0, ppm)

    def jump(self, seconds):
        jumped = struct.unpack_from('q', self.map, 8)[0]
        struct.pack_into('q', self.map, 8, jumped + seconds * 1_000_000)


def build_library(name, directory):
    library = os.path.join(directory, name + '.so')
    subprocess.run([os.environ.get('CC', 'cc'), '-shared', '-fPIC', '-O2', '-Wall', '-o', library,
                    os.path.join(HERE, name + '.c')], check=True)
    return library


def fake_time():
    found = glob.glob('/usr/lib/*/faketime/libfaketimeMT.so.1')
    if not found:
        raise AssertionError('libfaketime is not installed (Debian: faketime)')
    return found[0]


class World:
    """A cluster on machines of its own, each with a clock and a disk that can be broken."""

    PROOF_SECONDS = 60  # within which each break shows, also on a machine that starves

    def __init__(self, net, servers, spares, rng, directory):
        self.net, self.rng, self.directory = net, rng, directory
        self.servers = servers  # the members, but while they change
        self.spares = spares    # machines that are off and empty
        self.wire = doozer_wire.Wire(net)
        libraries = [build_library(name, directory) for name in ('slow_sync', 'skewed_clock')]
        self.syncs, self.clocks, self.monotonic = {}, {}, {}
        for server in (*servers, *spares):
            sync = self.syncs[server] = SyncControl(os.path.join(server.directory, 'sync'))
            clock = self.clocks[server] = os.path.join(server.directory, 'clock')
            self.set_clock(server, 0)
            monotonic = self.monotonic[server] = ClockControl(
                os.path.join(server.directory, 'monotonic'))
            server.environment.update(
                LD_PRELOAD=':'.join([*libraries, fake_time()]), SLOW_SYNC_CONTROL=sync.path,
                SKEWED_CLOCK_CONTROL=monotonic.path, FAKETIME_TIMESTAMP_FILE=clock,
                FAKETIME_CACHE_DURATION='1', FAKETIME_DONT_FAKE_MONOTONIC='1')

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

    def proven(self, what, condition, more_seconds=0):
        seconds = self.PROOF_SECONDS + more_seconds
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = condition()
            except (OSError, Closed):
                found = None  # it is busy with the fault
            if found:
                return found
            if time.monotonic() > deadline:
                raise NotBitten('not within %d s: %s' % (seconds, what))
            time.sleep(0.05)

    def own_time(self, server):
        """What its monotonic clock tells, and when it was asked: (seconds, before, after)."""
        before = time.monotonic()
        told = self.status(server)['uptime_ms'] / 1000
        return told, before, time.monotonic()

    def begin_clock(self, server):
        return self.proven('what its clock tells', lambda: self.own_time(server))

    def gained(self, server, began):
        """By how much its clock has certainly gone faster (or slower: negative) since then."""
        told, before, after = self.own_time(server)
        own = told - began[0]
        return max(0, own - (after - began[1])) + min(0, own - (before - began[2]))

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

    def has_link(self, here, there):
        """Whether that server counts on its own link to the other one."""
        peer = next((s for s in self.status(here)['servers'] if s['identity'] == there.identity), {})
        return peer.get('link') in ('direct', 'flapping')

    def now(self):
        """A moment for those below: where each log ends. (Servers have clocks of their own.)"""
        return {server: server.log_end() for server in self.servers}

    def went_down(self, a, b, since):
        """Whether one of the two has said since then that the link between them is down."""
        return any(e['peer'] == there.identity for here, there in ((a, b), (b, a))
                   for e in here.events('link_down', after=since[here]))

    def gave_up_link(self, ways, since):
        """Waits until one end of each way has the link down, or had since then."""
        for a, b in ways:
            self.proven('a link that is down', lambda: self.went_down(a, b, since) or not (
                self.has_link(a, b) and self.has_link(b, a)))
        return '%d links down' % len({frozenset(way) for way in ways})

    def all_links_up(self):
        for a in self.servers:
            for b in self.servers:
                if a is not b:
                    self.proven('the link of %s to %s is back' % (a.address, b.address),
                                lambda: self.has_link(a, b))

    @contextlib.contextmanager
    def cutting(self, *ways):
        """Cuts, and sees packets lost and links given up."""
        numbers = [(a.number, b.number) for a, b in ways]
        lost = {to: self.net.dropped(to) for _, to in numbers}
        since = self.now()
        try:
            self.net.cut(*numbers)
            proof = self.gave_up_link(ways, since)
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
