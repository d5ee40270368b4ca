"""What is done to a cluster, and the proof that it bit.

A fault is a context manager: entered, it breaks something and waits until the break shows (a link
that a server gave up, a leader that was replaced, a sync that came late); left, it mends that. One
that does not show raises NotBitten, and the run fails: a fault that did nothing proves nothing.
"""
import contextlib
import signal
import subprocess
import time
from datetime import datetime

from chaos_world import NotBitten
from doozer_cluster import TELL_MORE
from doozer_net import both
from doozer_system import Closed

FAULTS = {}      # name -> context manager of a world, gives the proof
BACKGROUND = []  # those that go on while another one happens
LONG = []        # those that take too long for every test run
GAINED_SECONDS = 0.03  # what a wrong clock shows beyond any doubt


def fault(function):
    FAULTS[function.__name__] = contextlib.contextmanager(function)
    return function


def long_fault(function):
    LONG.append(function.__name__)
    return fault(function)


def background(function):
    BACKGROUND.append(function.__name__)
    return fault(function)


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


@fault
def flapping(world):
    a, b = world.pick(2)
    ways = [(x.number, y.number) for x, y in both(a, b)]
    since = world.now()
    try:
        for _ in range(4):
            world.net.cut(*ways)
            time.sleep(0.25)
            world.net.mend(*ways)
            time.sleep(0.1)
        yield world.gave_up_link([(a, b)], since)
    finally:
        world.net.mend(*ways)


@fault
def lossy(world):
    a, b = world.pick(2)
    ways = [(x.number, y.number) for x, y in both(a, b)]
    before = world.net.dropped(b.number)
    try:
        world.net.make_lossy(*ways)
        world.proven('lost packets', lambda: world.net.dropped(b.number) > before + 10)
        yield '%d packets lost' % (world.net.dropped(b.number) - before)
    finally:
        world.net.mend(*ways)


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
    since = world.now()
    one.kill9()
    try:
        others = [s for s in world.servers if s is not one]
        world.proven('a peer that is gone', lambda: any(
            e['peer'] == one.identity for s in others
            for e in s.events('link_down', after=since[s])))
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
def stop_leader(world):
    old = world.leader()
    status = old.stop()
    try:
        if status != 0:
            raise NotBitten('asked to stop, the leader ended with %s' % status)
        yield world.replaced(old)
    finally:
        world.come_back(old)


@fault
def majority_gone(world):
    gone = world.pick(len(world.servers) // 2 + 1)
    left = world.pick(besides=gone)[0]
    for server in gone:
        server.process.kill()

    def refused():
        with left.client(timeout=5) as c:
            return c.set('/refused', 'x', mode=TELL_MORE).err == 'READONLY'

    try:
        for server in gone:
            server.process.wait()
        world.proven('READONLY without a majority', refused)
        yield 'READONLY at %s' % left.identity
    finally:
        world.come_back(*gone)


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
        end = one.log_end()
        with one.client() as c:
            c.raw(b'\x00\x00\x00\x01\xff')  # no request: it says so, and closes
            c.closed_by_server()
        lines = one.events('connection_closed', after=end)
        if not lines:
            raise Closed('nothing is logged yet')
        told = datetime.fromisoformat(lines[0]['time'].replace('Z', '+00:00')).timestamp()
        return told - time.time()

    world.set_clock(one, seconds)
    try:
        world.proven('a clock that is wrong', lambda: abs(ahead() - seconds) < 30)
        yield 'the clock of %s is %+d s off' % (one.identity, seconds)
    finally:
        world.set_clock(one, 0)


@background
def clock_rates(world):
    """One goes faster than true time, one slower: what is timed at one end only holds."""
    apart = {one: sign * world.rng.randint(50_000, 100_000)
             for one, sign in zip(world.pick(2), (1, -1))}
    try:
        for one, ppm in apart.items():
            world.monotonic[one].gain(ppm)
        began = {one: world.begin_clock(one) for one in apart}
        for one, ppm in apart.items():
            world.proven('a clock that goes wrong', lambda: world.gained(one, began[one]) * (
                1 if ppm > 0 else -1) > GAINED_SECONDS)
        yield 'the clocks of %s go %s ppm wrong' % (
            ' and '.join(one.identity for one in apart),
            ' and '.join('%+d' % ppm for ppm in apart.values()))
    finally:
        for one in apart:
            world.monotonic[one].gain(0)


@fault
def clock_jump(world):
    """As when a virtual machine goes on elsewhere: this clock is ahead for good."""
    one = world.leader() if world.rng.random() < 0.5 else world.pick()[0]
    seconds = world.rng.randint(2, 60)
    began = world.begin_clock(one)
    world.monotonic[one].jump(seconds)
    world.proven('a clock that has jumped', lambda: world.gained(one, began) > seconds - 1)
    yield 'the clock of %s jumped %d s ahead' % (one.identity, seconds)


@background
def slow_wire(world):
    a, b = world.pick(2)
    delay_ms = world.rng.randint(10, 40)
    since = world.now()
    world.wire.begin(a.number, b.number, delay_ms, 2 * delay_ms, world.rng.random())

    def late():
        peer = next(s for s in world.status(a)['servers'] if s['identity'] == b.identity)
        return peer['hops'] == 1 and peer['rtt_us'] >= 2 * delay_ms * 1000

    def noticed():
        """A jump in delay may look like an outage; what flapped is then gone around."""
        return late() or world.went_down(a, b, since)

    try:
        world.proven('packets that overtake others', world.wire.has_overtaken)
        world.proven('a round trip of %d ms' % (2 * delay_ms), noticed)
        yield 'round trips of over %d ms, packets out of order' % (2 * delay_ms)
    finally:
        world.wire.end(a.number, b.number)


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
