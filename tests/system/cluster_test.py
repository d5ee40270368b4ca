#!/usr/bin/env python3
"""Clusters of real servers on loopback: what is promised when some of them die."""
import os
import shutil
import signal
import time

import doozer_cluster
import doozer_system
from doozer_cluster import LINEARIZABLE, TELL_MORE, UNKNOWN, Load, wait_until

# What is promised is far less; a machine that is busy with other things gets ten times as long.
GAP_SECONDS = 5
READONLY_SECONDS = 4
BACK_SECONDS = 10


class Together(doozer_cluster.ClusterTest):

    def test_three_become_members_in_one_change(self):
        servers = self.cluster()
        identities = sorted(self.identity(server) for server in servers)
        for server in servers:
            self.assertEqual(sorted(self.members(server)), identities)
            told = {e['voters'] for e in server.events('cluster_changed')}
            self.assertLessEqual(told, {0, 1, 3}, 'never two members: %s' % told)
        with servers[1].client() as c:
            slots = {path: (value.decode(), rev) for path, value, rev in c.walk('/ctl/cal/*')}
        self.assertEqual(sorted(slots), ['/ctl/cal/0', '/ctl/cal/1', '/ctl/cal/2'])
        self.assertEqual(sorted(value for value, _ in slots.values()), identities)
        self.assertEqual(slots['/ctl/cal/1'][1], slots['/ctl/cal/2'][1], 'filled together')

    def test_a_write_at_each_is_read_at_each_other_at_once(self):
        servers = self.cluster()
        clients = [server.client() for server in servers]
        for number in range(20):
            for n, writer in enumerate(clients):
                value = b'%d at %d' % (number, n)
                rev = self.ok(writer.set('/shared', value)).rev
                for reader in clients:
                    read = self.ok(reader.get('/shared', mode=LINEARIZABLE))
                    self.assertEqual((read.value, read.rev), (value, rev))
        for c in clients:
            c.close()

    def test_kill_9_of_the_leader_loses_nothing_and_interrupts_briefly(self):
        servers = self.cluster()
        leader = self.leader(servers)
        others = [server for server in servers if server is not leader]
        with Load(self, servers) as load:
            at_others = [w for w in load.writers if w.servers[0] is not leader]
            killed = time.monotonic()
            leader.kill9()
            load.go_on(50)
            gap = max(w.longest_gap(killed, time.monotonic()) for w in at_others)
            print('writes were interrupted for %.0f ms' % (gap * 1000))
            self.assertLess(gap, GAP_SECONDS)
        self.assertEqual([w.unknown for w in at_others], [[], []],
                         'a server that lives knows what became of its writes')
        self.assertIsNot(self.leader(others), leader)
        self.check_kept(others, load.acknowledged())
        leader.args = []  # the address and the directory are all that a restart needs
        leader.start()
        self.check_kept([leader], load.acknowledged())
        self.wait_members(servers)
        self.assertTrue(self.writable(leader))

    def test_sigterm_of_the_leader_fails_no_write(self):
        servers = self.cluster()
        leader = self.leader(servers)
        with Load(self, servers) as load:
            at_others = [w for w in load.writers if w.servers[0] is not leader]
            asked = time.monotonic()
            leader.signal(signal.SIGTERM)
            load.go_on(50)
            gap = max(w.longest_gap(asked, time.monotonic()) for w in at_others)
            print('writes were interrupted for %.0f ms' % (gap * 1000))
            self.assertLess(gap, GAP_SECONDS)
            self.assertEqual(leader.process.wait(doozer_system.STOP_SECONDS), 0)
        for writer in load.writers:
            self.assertEqual(writer.unknown, [])
        for writer in at_others:
            self.assertEqual(writer.refused, 0)
        self.check_kept([s for s in servers if s is not leader], load.acknowledged())

    def test_a_leader_that_was_paused_reads_nothing_stale_when_it_wakes(self):
        servers = self.cluster()
        leader = self.leader(servers)
        others = [server for server in servers if server is not leader]
        with leader.client() as asleep, others[0].client() as awake:
            self.ok(asleep.set('/paused', 'old'))
            leader.signal(signal.SIGSTOP)
            reads = [asleep.send('GET', path='/paused', mode=LINEARIZABLE) for _ in range(50)]
            write = asleep.send('SET', path='/by-sleeper', value='x', rev=-1, mode=TELL_MORE)
            paused = time.monotonic()
            wait_until('another one leads', lambda: awake.set('/paused', 'new').err is None,
                       BACK_SECONDS)
            print('writes went on %.1f s after the pause' % (time.monotonic() - paused))
            leader.signal(signal.SIGCONT)
            for read in [asleep.wait(tag) for tag in reads]:
                self.assertTrue(read.err == 'READONLY' or read.value == b'new', read)
            told = asleep.wait(write)
            if told.err is None:
                self.assertEqual(self.ok(awake.get('/by-sleeper', mode=LINEARIZABLE)).rev, told.rev)
            else:
                self.assertTrue(told.err == 'READONLY' or told.get('outcome') == UNKNOWN, told)
        wait_until('it takes writes again', lambda: self.writable(leader), BACK_SECONDS)

    def test_a_rolling_restart_under_load_loses_nothing(self):
        servers = self.cluster()
        with Load(self, servers) as load:
            for server in servers:
                self.assertEqual(server.stop(), 0)
                load.go_on(20)
                server.args = []
                server.start()
                load.go_on(20)
        print('%d acknowledged, %d refused and tried again' %
              (len(load.acknowledged()), sum(w.refused for w in load.writers)))
        for writer in load.writers:
            self.assertEqual(writer.unknown, [], 'a write that nobody may repeat')
        self.check_kept(servers, load.acknowledged())

    def test_all_killed_at_once_under_load_lose_nothing(self):
        servers = self.cluster()
        acknowledged = {}
        for server in servers:
            server.args = []
        for _ in range(2):
            with Load(self, servers) as load:
                for server in servers:
                    server.process.kill()
                for server in servers:
                    server.process.wait()
                begun = time.monotonic()
                for server in servers:
                    server.spawn()
                load.go_on(20)
                print('writes went on %.1f s after the restart of all' % (time.monotonic() - begun))
            acknowledged.update(load.acknowledged())
            self.check_kept(servers, acknowledged)


class Minority(doozer_cluster.ClusterTest):

    def test_without_a_majority_writes_are_refused_and_reads_go_on(self):
        servers = self.cluster()
        third = servers[2]
        with third.client() as c:
            self.ok(c.set('/kept', 'x', mode=TELL_MORE))
            killed = time.monotonic()
            for server in servers[:2]:
                server.process.kill()
            in_flight = c.send('SET', path='/in-flight', value='x', rev=-1, mode=TELL_MORE)
            wait_until('READONLY', lambda: self.refused_at(third), READONLY_SECONDS)
            print('READONLY after %.1f s' % (time.monotonic() - killed))
            answer = c.wait(in_flight)
            self.assertTrue(answer.err == 'READONLY' or answer.get('outcome') == UNKNOWN or
                            answer.err is None, answer)
        with third.client() as c:
            self.assertEqual(self.ok(c.get('/kept')).value, b'x')
            self.assertEqual(c.get('/kept', mode=LINEARIZABLE).err, 'READONLY')
            self.assertFalse(self.status(third)['writable'])
        for server in servers[:2]:
            server.process.wait()
            server.args = []
            server.spawn()
        begun = time.monotonic()
        wait_until('writes go on', lambda: self.writable(third), BACK_SECONDS)
        print('writes went on after %.1f s' % (time.monotonic() - begun))
        for server in servers:
            server.wait_ready()
            with server.client() as c:
                self.assertEqual(self.ok(c.get('/kept', mode=LINEARIZABLE)).value, b'x')

    def refused_at(self, server):
        with server.client() as c:
            answer = c.set('/refused', 'x', mode=TELL_MORE)
            return answer.err == 'READONLY' and answer.get('outcome') != UNKNOWN


class Standby(doozer_cluster.ClusterTest):

    def test_a_standby_serves_and_takes_the_slot_of_a_member_that_is_dead_for_good(self):
        servers = self.cluster(3, '--timeout', '10s')
        fourth = self.server('-a', servers[0].address, '--timeout', '10s').start()
        newcomer = self.identity(fourth)
        self.assertNotIn(newcomer, self.members(fourth))
        with fourth.client() as c, servers[1].client() as other:
            rev = self.ok(c.set('/by-standby', 'x')).rev
            read = self.ok(other.get('/by-standby', mode=LINEARIZABLE))
            self.assertEqual((read.value, read.rev), (b'x', rev))
            self.ok(other.set('/by-member', 'y'))
            self.assertEqual(self.ok(c.get('/by-member', mode=LINEARIZABLE)).value, b'y')
        dead = servers[2]
        gone = self.identity(dead)
        dead.kill9()
        begun = time.monotonic()
        # While one takes the place of the other, both are members.
        wait_until('the standby is a member, the dead one none',
                   lambda: newcomer in self.members(fourth) and gone not in self.members(fourth), 60)
        took = time.monotonic() - begun
        print('replaced after %.1f s' % took)
        self.assertGreater(took, 8, 'a member that may come back is not replaced')
        now = sorted(self.members(fourth))
        self.assertEqual(now, sorted([newcomer] + [self.identity(s) for s in servers[:2]]))
        with fourth.client() as c:
            held = [value.decode() for _, value, _ in c.walk('/ctl/cal/*')]
        self.assertEqual(sorted(held), now)
        dead.start()  # whoever returns is a standby
        self.assertEqual(self.identity(dead), gone)
        wait_until('it knows', lambda: sorted(self.members(dead)) == now)
        self.assertTrue(self.writable(dead))


class Strangers(doozer_cluster.ClusterTest):

    def test_an_emptied_directory_comes_back_as_another_and_never_boots(self):
        servers = self.cluster()
        first = servers[0]  # which has --boot among its flags, and keeps it
        before = self.status(first)
        with first.client() as c:
            self.ok(c.set('/kept', 'x'))
        for server in servers:
            self.assertEqual(server.stop(), 0)
        shutil.rmtree(first.data)
        booted = len(first.events('booted'))
        first.spawn()
        for server in servers[1:]:
            self.log_names(first, 'waiting_for_cluster', server.address)
        self.assertTrue(self.no_data(first), 'nobody has told it that there is no cluster')
        for server in servers[1:]:
            server.start()
        first.wait_ready()
        after = self.status(first)
        self.assertEqual(after['cluster'], before['cluster'])
        self.assertNotEqual(after['identity'], before['identity'])
        self.assertEqual(len(first.events('booted')), booted)
        with first.client() as c:
            self.assertEqual(self.ok(c.get('/kept', mode=LINEARIZABLE)).value, b'x')
        wait_until('the old identity is the member, the new one none',
                   lambda: before['identity'] in self.members(first))
        self.assertNotIn(after['identity'], self.members(first))

    def test_a_server_of_another_cluster_is_refused(self):
        servers = self.cluster()
        stranger = self.server().start()
        clusters = [self.status(server)['cluster'] for server in (stranger, servers[0])]
        self.assertEqual(stranger.stop(), 0)
        stranger.start('-a', servers[0].address)
        for server in (stranger, servers[0]):
            self.log_names(server, 'peer_refuse', *clusters)
        for server in servers:
            status = self.status(server)
            self.assertEqual((len(status['servers']), status['cluster']), (3, clusters[1]))
        self.assertTrue(self.writable(servers[0]))
        if stranger.running():
            self.assertEqual(self.status(stranger)['cluster'], clusters[0])

    def test_a_server_with_another_secret_is_refused(self):
        servers = self.cluster(environment={'DOOZER_RWSECRET': 'ours'})
        theirs = {'another': {'DOOZER_RWSECRET': 'theirs'}, 'none': {}}
        for (name, secrets), asked in zip(theirs.items(), servers):
            with self.subTest(name):
                stranger = self.server('-a', asked.address, environment=secrets).spawn()
                self.log_names(stranger, 'waiting_for_cluster', 'the secret', asked.address)
                self.log_names(asked, 'peer_refuse', 'the secret', asked.address)
                self.assertTrue(self.no_data(stranger))
                self.assertEqual(stranger.stop(), 0)
        friend = self.server('-a', servers[0].address, environment={'DOOZER_RWSECRET': 'ours'})
        friend.start()
        self.assertEqual(self.status(friend)['cluster'], self.status(servers[0])['cluster'])
        for server in servers:
            self.assertNotRegex(server.log(), '"(ours|theirs)"')

    def test_a_copied_directory_is_refused_and_both_are_named(self):
        servers = self.cluster()
        original = servers[2]
        identity = self.identity(original)
        self.assertEqual(original.stop(), 0)
        copy = self.server(*original.args)
        shutil.copytree(original.data, copy.data)
        original.start()
        copy.spawn()
        for server in (original, copy):  # neither is to be believed
            self.assertEqual(server.process.wait(READONLY_SECONDS * 5), 3)
            self.log_names(server, 'must_not_go_on', identity, original.address, copy.address)
        self.assertTrue(self.writable(servers[0]), 'the other two go on')

    def test_a_copy_of_a_running_server_is_not_believed(self):
        servers = self.cluster()
        original = servers[2]
        identity = self.identity(original)
        copy = self.server(*original.args)
        os.kill(original.process.pid, signal.SIGSTOP)
        shutil.copytree(original.data, copy.data)
        os.kill(original.process.pid, signal.SIGCONT)
        copy.spawn()
        for server in (original, copy):
            self.assertEqual(server.process.wait(READONLY_SECONDS * 5), 3)
            self.log_names(server, 'must_not_go_on', identity, original.address, copy.address)
            self.assertFalse(os.path.exists(os.path.join(server.data, 'barred')))
        original.start()
        self.assertTrue(self.writable(original), 'it is the good one')

    def test_a_directory_that_was_set_back_is_barred_by_whoever_refuses_it(self):
        servers = self.cluster()
        member = servers[2]
        self.assertEqual(member.stop(), 0)
        older = member.data + '.older'
        shutil.copytree(member.data, older)
        for _ in range(2):
            member.start()
            member.kill9()
        shutil.rmtree(member.data)
        shutil.move(older, member.data)
        member.spawn()
        self.assertEqual(member.process.wait(READONLY_SECONDS * 5), 3)
        self.log_names(member, 'must_not_go_on', 'rolled back', member.address)
        member.spawn()
        self.assertEqual(member.process.wait(READONLY_SECONDS * 5), 1)
        self.assertIn('barred', member.log())
        self.assertTrue(self.writable(servers[0]), 'the other two go on')

if __name__ == '__main__':
    doozer_system.main()
