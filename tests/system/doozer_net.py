"""Machines to break: a network namespace for each server, and every way between two of them apart.

A hub namespace holds a bridge, each machine a cable to it and a filter on what comes in. So a way
from A to B is cut at B, without a word to anybody: packets vanish as they do when a switch fails.
What was dropped is counted, as proof that a cut bit.

A namespace is entered by a thread, and only by that thread: a socket that it makes there, or a
process that it starts there, stays there. Nothing has a name on this machine: namespaces live as
long as somebody holds their descriptor, and servers are killed with the test that started them. So
even a test that is shot leaves neither behind, and no two runs meet.

Needs Linux, nft and ip, and either root or unprivileged user namespaces. Where they are missing the
tests fail, loudly; DOOZER_SKIP_NAMESPACES=1 skips them.
"""
import ctypes
import json
import os
import subprocess
import threading
import unittest

import doozer_cluster
import doozer_system

SKIP = 'DOOZER_SKIP_NAMESPACES'
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
home = None  # a descriptor of the namespace that this process came from

FILTER = '''
add table inet doozer
add set inet doozer cut { type ipv4_addr; }
add set inet doozer lossy { type ipv4_addr; }
add chain inet doozer input { type filter hook input priority 0; policy accept; }
add chain inet doozer output { type filter hook output priority 0; policy accept; }
add rule inet doozer input iif lo accept
add rule inet doozer input ip saddr @cut counter drop
add rule inet doozer input ip saddr @lossy numgen random mod 100 < 30 counter drop
add rule inet doozer output oif lo accept
'''


def system_call(name, *args):
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, '%s: %s' % (name, os.strerror(number)))


def become_root():
    """Who is no root becomes it in a user namespace of its own; only while there is one thread."""
    if os.geteuid() == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    system_call('unshare', CLONE_NEWUSER | CLONE_NEWNET)  # one may return only to what one owns
    for name, text in (('setgroups', 'deny'), ('uid_map', '0 %d 1' % uid),
                       ('gid_map', '0 %d 1' % gid)):
        with open('/proc/self/' + name, 'w') as f:
            f.write(text)


def prepare():
    """Once, before anything else here. Skips if told to, fails if this machine cannot do it."""
    global home
    if home is not None:
        return
    if os.environ.get(SKIP) == '1':
        raise unittest.SkipTest('%s=1: nothing of what needs network namespaces is tested' % SKIP)
    try:
        become_root()
        home = os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        Net(1).close()
    except (OSError, RuntimeError) as e:
        home = None
        raise AssertionError(
            '\n*** This machine does not allow network namespaces (%s).\n'
            '*** The promises about partitions cannot be tested here. As root, with the packages\n'
            '*** iproute2 and nftables, they can; %s=1 skips them.' % (e, SKIP)) from e


class Space:
    """A network namespace. `with space:` this thread is in it."""

    def __init__(self):
        made = []

        def make():
            try:
                system_call('unshare', CLONE_NEWNET)
                made.append(os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC))
            except OSError as e:
                made.append(e)

        thread = threading.Thread(target=make)  # so that no other has to find its way back
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        self.descriptor = made[0]
        self.path = '/proc/%d/fd/%d' % (os.getpid(), self.descriptor)

    def __enter__(self):
        system_call('setns', self.descriptor, CLONE_NEWNET)
        return self

    def __exit__(self, *_):
        system_call('setns', home, CLONE_NEWNET)

    def run(self, *command, stdin=None):
        with self:
            done = subprocess.run(command, input=stdin, text=True, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError('%s: %s' % (' '.join(command), done.stderr.strip()))
        return done.stdout

    def close(self):
        os.close(self.descriptor)


class Net:
    """So many machines, numbered from 0, each reaching each other until told otherwise."""

    def __init__(self, count):
        self.hub = Space()
        self.spaces = []
        self.cut_from = [set() for _ in range(count)]  # by receiver: the senders it never hears
        self.lossy_from = [set() for _ in range(count)]  # and those it hears badly
        self.gone = [False] * count
        self.hub.run('ip', '-batch', '-', stdin='link add hub type bridge\nlink set hub up\n')
        for number in range(count):
            space = Space()
            self.spaces.append(space)
            self.hub.run('ip', '-batch', '-', stdin=(
                'link add to{0} type veth peer name eth0 netns {1}\n'
                'link set to{0} master hub up\n').format(number, space.path))
            space.run('ip', '-batch', '-', stdin=''.join(
                line + '\n' for line in ['link set lo up', 'link set eth0 up',
                                         *('addr add %s/24 dev eth0' % self.address(number, side)
                                           for side in (0, 1))]))
            space.run('nft', '-f', '-', stdin=FILTER)

    @staticmethod
    def address(number, side=0):
        """Each machine has two, as if it had moved."""
        return '10.%d.0.%d' % (77 + side, number + 1)

    def close(self):
        for space in [self.hub, *self.spaces]:
            space.close()

    def filter_text(self, number):
        policy = 'drop' if self.gone[number] else 'accept'
        lines = ['add chain inet doozer %s { policy %s; }' % (hook, policy)
                 for hook in ('input', 'output')]
        for name, senders in (('cut', self.cut_from), ('lossy', self.lossy_from)):
            lines.append('flush set inet doozer %s' % name)
            lines += ['add element inet doozer %s { %s }' % (name, self.address(sender, side))
                      for sender in sorted(senders[number]) for side in (0, 1)]
        return '\n'.join(lines) + '\n'

    def apply(self, *numbers):
        for number in numbers:
            self.spaces[number].run('nft', '-f', '-', stdin=self.filter_text(number))

    def cut(self, *ways):
        """Each way is (sender, receiver); what is sent that way vanishes from now on."""
        for sender, receiver in ways:
            self.cut_from[receiver].add(sender)
        self.apply(*sorted({receiver for _, receiver in ways}))

    def make_lossy(self, *ways):
        """Of what is sent that way three packets of ten vanish from now on."""
        for sender, receiver in ways:
            self.lossy_from[receiver].add(sender)
        self.apply(*sorted({receiver for _, receiver in ways}))

    def mend(self, *ways):
        for sender, receiver in ways:
            self.cut_from[receiver].discard(sender)
            self.lossy_from[receiver].discard(sender)
        self.apply(*sorted({receiver for _, receiver in ways}))

    def vanish(self, number):
        """Nothing enters or leaves that machine, from one moment to the next."""
        self.gone[number] = True
        self.apply(number)

    def heal(self):
        for number in range(len(self.spaces)):
            self.cut_from[number].clear()
            self.lossy_from[number].clear()
            self.gone[number] = False
            self.apply(number)

    def dropped(self, number):
        """How many packets a cut has kept from that machine so far."""
        rules = json.loads(self.spaces[number].run('nft', '-j', 'list', 'chain', 'inet', 'doozer',
                                                   'input'))['nftables']
        return sum(part['counter']['packets'] for entry in rules
                   for part in entry.get('rule', {}).get('expr', ()) if 'counter' in part)


def both(a, b):
    return ((a, b), (b, a))


class Machine(doozer_system.Server):
    """A server on a machine of its own. Its clients sit there too."""

    def __init__(self, directory, *args, net, number, **options):
        super().__init__(directory, *args, host=net.address(number), port=8046, **options)
        self.net, self.number, self.space = net, number, net.spaces[number]
        self.wrapper = ['setpriv', '--pdeathsig', 'KILL']  # it dies with us, however we die

    def spawn(self, *more):
        with self.space:
            return super().spawn(*more)

    def client(self, **options):
        with self.space:
            client = super().client(**options)
        secret = self.environment.get('DOOZER_RWSECRET')
        if secret:
            client.call('ACCESS', value=secret)
        return client

    def status(self, **options):
        with self.client(**options) as c:
            return json.loads(c.call('STATUS').value)

    def wait_ready(self):
        with self.space:
            super().wait_ready()

    def move(self):
        """From the next start on it has its other address, and no longer the first."""
        self.host = self.net.address(self.number, 1)
        self.space.run('ip', 'addr', 'del', self.net.address(self.number) + '/24', 'dev', 'eth0')


def make_machines(net, directory, *args, members=None, **options):
    """A server on each machine of the net. The first so many (or all) know each other's addresses,
    and the first boots; the others know theirs. None is started."""
    count = members or len(net.spaces)
    machines = []
    for number in range(len(net.spaces)):
        own = os.path.join(directory, 'm%d' % number)
        os.makedirs(own)
        others = [word for other in range(count) if other != number
                  for word in ('-a', '%s:8046' % net.address(other))]
        first = ['--boot', '--slots', str(count)] if number == 0 else []
        machines.append(Machine(own, *args, *first, *others, net=net, number=number, **options))
    return machines


class NetTest(doozer_cluster.ClusterTest):
    """Makes clusters of servers on machines of their own."""

    def setUp(self):
        prepare()
        super().setUp()

    def machines(self, count, *args, **options):
        net = Net(count)
        self.addCleanup(net.close)
        machines = make_machines(net, self.directory, *args, **options)
        self.servers.extend(machines)
        return machines

    def net_cluster(self, count, *args, **options):
        """A running cluster; gives its net and its servers, the leader first."""
        machines = self.machines(count, *args, **options)
        for machine in machines:
            machine.spawn()
        for machine in machines:
            machine.wait_ready()
        self.wait_members(machines)
        leader = self.leader(machines)
        doozer_cluster.wait_until('each reaches each directly', lambda: all(
            s['self'] or s['link'] == 'direct'
            for machine in machines for s in self.status(machine)['servers']))
        return machines[0].net, [leader, *(m for m in machines if m is not leader)]
