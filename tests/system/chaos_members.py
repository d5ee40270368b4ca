"""Changes of who belongs to the cluster, as faults of chaos_faults.py: by its slots, by death, by loss
of a disk. Each ends with as many members as it began with, and with spare machines that are empty.

The proof is the configuration that every server of the cluster tells.
"""
import itertools
import shutil
import time

from chaos_faults import fault, long_fault
from chaos_world import NotBitten
from doozer_cluster import LINEARIZABLE, TELL_MORE

SILENT_SECONDS = 15  # `--timeout` of the servers: after so long a silence a standby takes the place


def names(servers):
    return ' and '.join(server.identity for server in servers)


def wait_members(world, servers, more_seconds=0):
    """Until each of them tells that these are the members."""
    wanted = sorted(server.identity for server in servers)

    def told(server):
        found = world.status(server)['configuration']
        return not found['joint'] and sorted(found['voters']) == wanted

    world.proven('the members are %s' % wanted, lambda: all(told(s) for s in servers), more_seconds)


def begin(world, *machines):
    """Starts empty machines; they attach to the cluster as standbys, and are as far as the others."""
    cluster = world.proven('a cluster', lambda: world.status(world.servers[0])['cluster'])
    for machine in machines:
        machine.spawn()
    for machine in machines:
        machine.wait_ready()
        status = world.proven('a standby tells what it is', lambda: world.status(machine))
        if status['cluster'] != cluster:
            raise AssertionError('%s has a cluster of its own: %s' % (machine.address, status))
        machine.identity = status['identity']
        if machine.identity in status['configuration']['voters']:
            raise NotBitten('%s is a member from the first moment' % machine.identity)

    def caught_up():
        told = world.status(world.leader())['servers']
        fit = {s['identity'] for s in told if s['reachable'] and s.get('caught_up')}
        return fit.issuperset(machine.identity for machine in machines)

    world.proven('standbys that have caught up', caught_up)


def end(world, *machines):
    """They are no members (any more): off, and empty."""
    for machine in machines:
        if machine.running():
            machine.kill9()
        shutil.rmtree(machine.data)


def swap(world, old, new):
    """From now on `new` are servers and `old` are spares."""
    world.servers[:] = [s for s in world.servers if s not in old] + list(new)
    world.spares[:] = [s for s in world.spares if s not in new] + list(old)


def write_slot(world, path, holder, value):
    """What was held by `holder` (None: was not there) gets that value (None: is deleted), whatever it
    takes: a change of leaders may be under way, and the first attempt may have been done unheard."""
    servers = itertools.cycle(world.servers)

    def written():
        with next(servers).client(timeout=5) as c:
            old = c.get(path, mode=LINEARIZABLE)
            if old.err not in (None, 'NOENT'):
                return False
            if holder != (old.value.decode() if old.rev else None):
                return True
            answer = (c.delete(path, rev=old.rev, mode=TELL_MORE) if value is None else
                      c.set(path, value, rev=old.rev or 0, mode=TELL_MORE))
            return answer.err is None

    world.proven('%s is written' % path, written)


def slot_of(world, server):
    """The path of the slot that holds it."""
    return world.proven('the slot of %s' % server.identity, lambda: next(
        (slot['path'] for slot in world.status(world.leader())['slots']
         if slot['holder'] == server.identity), None))


def strike_leader(world):
    """Often the leader is killed while it changes the members: another one goes on."""
    if world.rng.random() < 0.5:
        leader = world.leader()
        leader.kill9()
        world.come_back(leader)
        return ', the leader killed meanwhile'
    return ''


@fault
def replace_by_slot(world):
    """A slot is emptied; a standby takes it."""
    old, new = world.pick()[0], world.spares[0]
    begin(world, new)
    write_slot(world, slot_of(world, old), old.identity, '')
    struck = strike_leader(world)
    stay = [s for s in world.servers if s is not old]
    wait_members(world, [*stay, new])
    yield '%s has the slot of %s%s' % (new.identity, old.identity, struck)
    end(world, old)
    swap(world, [old], [new])


@long_fault
def emptied_disk(world):
    """A member comes back with nothing: as another one, which is no member and boots nothing."""
    one = world.pick()[0]
    slot, former, boots = slot_of(world, one), one.identity, len(one.events('booted'))
    one.kill9()
    shutil.rmtree(one.data)
    world.servers.remove(one)
    begin(world, one)
    if one.identity == former or len(one.events('booted')) != boots:
        raise AssertionError('%s with an empty disk is the old one, or has booted' % former)
    write_slot(world, slot, former, '')
    wait_members(world, [*world.servers, one])
    world.servers.append(one)
    yield '%s came back as %s and has its slot' % (former, one.identity)


def grow(world, count):
    """So many standbys become members, in new slots."""
    new = world.spares[:count]
    begin(world, *new)
    filled = {slot['path'] for slot in world.status(world.leader())['slots']}
    free = ['/ctl/cal/%d' % n for n in range(32) if '/ctl/cal/%d' % n not in filled]
    for path in free[:count]:
        write_slot(world, path, None, '')
    struck = strike_leader(world)
    wait_members(world, [*world.servers, *new])
    swap(world, [], new)
    return names(new) + ' came' + struck


def shrink(world, count):
    """So many members, the leader perhaps among them, lose their slots."""
    old = world.pick(count)
    stay = [s for s in world.servers if s not in old]
    for one in old:
        write_slot(world, slot_of(world, one), one.identity, None)
    struck = strike_leader(world)
    wait_members(world, stay)
    end(world, *old)
    swap(world, old, [])
    return names(old) + ' left' + struck


@long_fault
def resize(world):
    """From 3 to 5 and back, or from 5 to 3 and back."""
    steps = (grow, shrink) if len(world.servers) == 3 else (shrink, grow)
    first = steps[0](world, 2)
    world.hold()
    yield '%s, %s' % (first, steps[1](world, 2))


@long_fault
def dead_for_good(world):
    """A member dies; a standby takes its place without a word from anybody."""
    old, new = world.pick()[0], world.spares[0]
    begin(world, new)
    old.kill9()
    died = time.monotonic()
    stay = [s for s in world.servers if s is not old]
    world.servers.remove(old)
    # One leader must have seen all of that silence: on a machine that starves it may be the tenth.
    wait_members(world, [*stay, new], 10 * SILENT_SECONDS)
    took = time.monotonic() - died
    if took < SILENT_SECONDS - 1:
        raise AssertionError('replaced after %.1f s: it might have come back' % took)
    world.servers.append(new)
    world.spares[:] = [s for s in world.spares if s is not new] + [old]
    yield '%s took the place of %s after %.1f s' % (new.identity, old.identity, took)
    end(world, old)
