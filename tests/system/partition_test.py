#!/usr/bin/env python3
"""Partial partitions of real servers: whoever some path joins to a majority can write.

In every shape the first server leads, and is put where that is worst: at the end of the chain, at a
leaf of the star, in one half of the bridge. A writer sits at each server and uses no other. One
shape alone: tests/system/partition_test.py Five.test_chain
"""
import concurrent.futures
import time

import doozer_net
import doozer_system
from doozer_cluster import LINEARIZABLE, Load, wait_until
from doozer_net import both

# What is promised; tests on a machine that does other things too give it ten times as long.
INTERRUPTED_SECONDS = 1
READONLY_SECONDS = 2
LENIENCE = 10

# A shape is held for longer than two election time-outs: what breaks only then must show.
HELD_SECONDS = 1.6


def chain(a, b, count):
    return abs(a - b) == 1


def ring(a, b, count):
    return abs(a - b) in (1, count - 1)


def star(a, b, count):
    return 1 in (a, b)


def bridge(a, b, count):
    """Two halves that only the middle one joins."""
    middle = count // 2
    return middle in (a, b) or (a < middle) == (b < middle)


def all_but(connected, count):
    """The ways to cut so that only what is connected stays."""
    return [way for a in range(count) for b in range(a) if not connected(b, a, count)
            for way in both(a, b)]


class Shapes(doozer_net.NetTest):

    def check(self, count, cuts, cut_off=(), environment=None):
        """Cuts: all but those `cut_off` write on, all read; after the heal all write again."""
        args = () if environment else ('--insecure-peers',)
        net, servers = self.net_cluster(count, *args, environment=environment)
        with Load(self, servers, roam=False) as load, \
                concurrent.futures.ThreadPoolExecutor() as pool:
            inside = [w for n, w in enumerate(load.writers) if n not in cut_off]
            term = self.status(servers[0])['term']
            begun = time.monotonic()
            net.cut(*((servers[a].number, servers[b].number) for a, b in cuts))
            checks = [pool.submit(self.check_reads_only, load.writers[n], begun) for n in cut_off]
            load.go_on(20, inside, LENIENCE * INTERRUPTED_SECONDS)
            self.check_bit(net, servers, cuts)
            for check in checks:
                check.result()
            while time.monotonic() < begun + HELD_SECONDS:
                load.go_on(1, inside, LENIENCE * INTERRUPTED_SECONDS)
            self.check_gaps(load, inside, begun, term)
            net.heal()
            load.go_on(10, seconds=LENIENCE * INTERRUPTED_SECONDS)
        self.check_kept(servers, load.acknowledged())

    def check_bit(self, net, servers, cuts):
        """Packets were lost, and both ends know that they have no direct link."""
        for number in {servers[b].number for _, b in cuts}:
            wait_until('machine %d has lost packets' % number, lambda: net.dropped(number) > 0)
        identities = [self.identity(server) for server in servers]
        for pair in {tuple(sorted(way)) for way in cuts}:
            for here, there in both(*pair):
                wait_until('%d has no direct link to %d' % (here, there), lambda: self.link(
                    servers[here], identities[there]) not in ('direct', 'flapping'))

    def link(self, server, identity):
        return next(s.get('link') for s in self.status(server)['servers']
                    if s['identity'] == identity)

    def check_reads_only(self, writer, begun):
        """In a minority: READONLY to writes, and what is there can be read."""
        server = writer.servers[0]
        with server.client() as c:
            fresh = c.send('GET', path='/load/0.0/0', mode=LINEARIZABLE)
            self.assertGreater(self.ok(c.get('/load/0.0/0')).rev, 0)
            wait_until('READONLY', lambda: writer.refused > 0, LENIENCE * READONLY_SECONDS)
            print('  READONLY at %s %.1f s after the cut' % (server.address,
                                                             time.monotonic() - begun))
            self.assertEqual(c.wait(fresh).err, 'READONLY')
            self.assertGreater(self.ok(c.get('/load/0.0/0')).rev, 0)

    def check_gaps(self, load, inside, begun, term):
        gaps = [w.longest_gap(begun, time.monotonic()) for w in inside]
        same = self.status(inside[-1].servers[0])['term'] == term
        print('  writes interrupted for %.0f ms at the most (%s), %s' % (
            1000 * max(gaps), ' '.join('%.0f' % (1000 * gap) for gap in gaps),
            'no election' if same else 'another term'))
        self.assertLess(max(gaps), LENIENCE * INTERRUPTED_SECONDS)


class Three(Shapes):
    """A ring of three is whole. Their chain is their star and their bridge."""

    def test_chain_which_cuts_the_link_between_the_leader_and_the_clients_server(self):
        self.check(3, all_but(chain, 3))

    def test_chain_with_the_leader_in_the_middle(self):
        self.check(3, both(1, 2), environment={'DOOZER_RWSECRET': 'of three'})

    def test_one_way_from_the_leader(self):
        self.check(3, [(0, 2)])

    def test_one_way_to_the_leader(self):
        self.check(3, [(2, 0)])

    def test_one_who_hears_the_one_and_is_heard_by_the_other(self):
        """What works only one way is no way: beats go around in a circle and prove nothing."""
        self.check(3, [(0, 2), (2, 1)], cut_off=[2])

    def test_a_leader_whom_nobody_hears(self):
        self.check(3, [(0, 1), (0, 2)], cut_off=[0])

    def test_a_leader_who_hears_nobody(self):
        self.check(3, [(1, 0), (2, 0)], cut_off=[0])

    def test_a_leader_alone(self):
        self.check(3, [*both(0, 1), *both(0, 2)], cut_off=[0])


class Five(Shapes):

    def test_chain(self):
        self.check(5, all_but(chain, 5))

    def test_ring(self):
        self.check(5, all_but(ring, 5))

    def test_star(self):
        self.check(5, all_but(star, 5))

    def test_bridge(self):
        self.check(5, all_but(bridge, 5), environment={'DOOZER_RWSECRET': 'of five'})

    def test_the_leader_can_send_to_one_only(self):
        self.check(5, [(0, other) for other in range(2, 5)])

    def test_chain_of_three_and_an_island_with_the_leader(self):
        def connected(a, b, _):
            return chain(a, b, 5) and (a < 2) == (b < 2)

        self.check(5, all_but(connected, 5), cut_off=[0, 1])


class Seven(Shapes):

    def test_chain(self):
        self.check(7, all_but(chain, 7))

    def test_bridge(self):
        self.check(7, all_but(bridge, 7))

    def test_chain_of_four_with_the_leader_and_an_island(self):
        def connected(a, b, _):
            return chain(a, b, 7) and (a < 4) == (b < 4)

        self.check(7, all_but(connected, 7), cut_off=[4, 5, 6])


class Flapping(doozer_net.NetTest):

    def check(self, count, ways, seconds=2, phase_seconds=0.2):
        net, servers = self.net_cluster(count, '--insecure-peers')
        ways = [(servers[a].number, servers[b].number) for a, b in ways]
        with Load(self, servers, roam=False) as load:
            begun = time.monotonic()
            for _ in range(int(seconds / (2 * phase_seconds))):
                net.cut(*ways)
                time.sleep(phase_seconds)  # the fault itself takes time; nothing is waited for
                net.heal()
                time.sleep(phase_seconds)
            load.go_on(10, seconds=LENIENCE * INTERRUPTED_SECONDS)
            gap = max(w.longest_gap(begun, time.monotonic()) for w in load.writers)
        print('  flapping: writes interrupted for %.0f ms at the most' % (1000 * gap))
        self.assertLess(gap, LENIENCE * INTERRUPTED_SECONDS)
        downs = [e for server in servers for e in server.events('link_down')]
        self.assertGreaterEqual(len(downs), 2, 'it never bit')
        self.check_kept(servers, load.acknowledged())

    def test_link_between_the_leader_and_the_clients_server(self):
        self.check(3, both(0, 2))

    def test_all_links_of_a_follower_but_one(self):
        self.check(5, [*both(0, 4), *both(1, 4), *both(2, 4)])


class Machines(doozer_net.NetTest):

    def test_a_leader_whose_machine_vanishes_is_replaced(self):
        net, servers = self.net_cluster(3, environment={'DOOZER_RWSECRET': 'the machines'})
        leader, others = servers[0], servers[1:]
        with Load(self, servers, roam=False) as load:
            gone = time.monotonic()
            net.vanish(leader.number)
            load.go_on(50, load.writers[1:], LENIENCE * INTERRUPTED_SECONDS)
            gap = max(w.longest_gap(gone, time.monotonic()) for w in load.writers[1:])
            print('  vanished leader: writes interrupted for %.0f ms' % (1000 * gap))
            self.assertLess(gap, LENIENCE * INTERRUPTED_SECONDS)
            leader.kill9()  # while nobody can hear of it
        self.assertEqual([e for s in others for e in s.events('server_gone')], [],
                         'silence was taken for a proof')
        self.assertIsNot(self.leader(others), leader)
        net.heal()
        leader.args = []
        leader.start()
        self.check_kept(servers, load.acknowledged())
        self.assertTrue(self.writable(leader))

    def test_all_come_back_under_new_addresses_at_once(self):
        _, servers = self.net_cluster(3, environment={'DOOZER_RWSECRET': 'the machines'})
        with Load(self, servers, roam=False) as load:
            for server in servers:
                server.process.kill()
        for server in servers:
            server.process.wait()
            server.move()
        begun = time.monotonic()
        for server in servers:  # one address is enough to meet all
            server.args = [] if server is servers[0] else ['-a', servers[0].address]
            server.spawn()
        for server in servers:
            server.wait_ready()
            wait_until('writable', lambda: self.writable(server))
        print('  new addresses: writes everywhere after %.1f s' % (time.monotonic() - begun))
        self.check_kept(servers, load.acknowledged())
        addresses = {server.address for server in servers}
        for server in servers:
            wait_until('%s tells the new addresses' % server.address, lambda: addresses == {
                s['address'] for s in self.status(server)['servers']})

    def test_who_listens_on_every_interface_is_found_again_by_the_others(self):
        anywhere = ['--listen', '0.0.0.0:8046']
        servers = self.machines(3, *anywhere, environment={'DOOZER_RWSECRET': 'the machines'})
        addresses = {server.address for server in servers}
        for server in servers:
            server.spawn()
        for server in servers:
            server.wait_ready()
        self.wait_members(servers)

        def told(by):
            with by.client() as c:
                return {value.decode() for _, value, _ in c.walk('/ctl/node/*/addr')}

        wait_until('each tells its address', lambda: told(servers[0]) == addresses)
        for server in servers:
            server.kill9()
        for server in servers:
            server.args = anywhere  # who the others are is in the data directory
            server.spawn()
        for server in servers:
            server.wait_ready()
            wait_until('writable', lambda: self.writable(server))
            self.assertEqual({s['address'] for s in self.status(server)['servers']}, addresses)
            self.assertEqual(server.events('address_changed'), [])
        self.assertEqual(told(servers[0]), addresses)

    def test_who_knows_nobody_tells_the_address_of_its_cable(self):
        server = self.machines(1, '--listen', '0.0.0.0:8046')[0]
        server.start()
        with server.client() as c:
            told = [value.decode() for _, value, _ in c.walk('/ctl/node/*/addr')]
        self.assertEqual(told, [server.address])


if __name__ == '__main__':
    doozer_system.main()
