#!/usr/bin/env python3
"""Real servers, real faults, and a judge: everything that clients saw must be linearizable.

    tests/system/chaos.py --minutes 5                 # as `make chaos MINUTES=5`
    tests/system/chaos.py --seed 4711 --rounds 3      # the same faults in the same order

Clients at every server read and write a few shared files and write down what they were told
(chaos_clients.py), while one fault after the other is done to the cluster (chaos_faults.py, chaos_members.py). A
round is every kind of fault, in an order drawn from the seed; sometimes one goes on while another
happens. At the end doozer-check judges the history.

The run fails, and keeps logs and history, if the history is wrong, if a fault left no trace, if
service does not come back at each server after each fault, or if there were too few operations.
"""
import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import time

import chaos_clients
import chaos_faults
import chaos_members
import chaos_world
import doozer_net
import doozer_system
from doozer_cluster import wait_until

BACK_SECONDS = 70  # ten times what is promised: ten election time-outs
TOGETHER = 0.3     # how often a fault goes on while another one happens
ROUNDS = 3         # a whole run has every fault at least so often
OPERATIONS = 20_000
SPARES = 2         # machines that wait to become members
ARGS = ('--insecure-peers', '--segment-bytes', '4MiB', '--snapshot-log-bytes', '4MiB',
        '--timeout', '%ds' % chaos_members.SILENT_SECONDS)


class Run:

    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.rng = random.Random(options.seed)
        self.bitten = dict.fromkeys(
            (f for f in chaos_faults.FAULTS if not options.brief or f not in chaos_faults.LONG), 0)
        self.begun = time.monotonic()
        self.exits = contextlib.ExitStack()

    def say(self, text):
        print('%6.1f s  %s' % (time.monotonic() - self.begun, text), flush=True)

    def boot(self):
        count = self.options.servers
        net = doozer_net.Net(count + SPARES)
        self.exits.callback(net.close)
        self.machines = doozer_net.make_machines(net, self.directory, *ARGS, members=count)
        self.servers = self.machines[:count]  # which change as members do
        self.exits.callback(self.kill_servers)
        self.world = chaos_world.World(net, self.servers, self.machines[count:], self.rng,
                                       self.directory)
        self.exits.callback(self.world.close)
        for server in self.servers:
            server.spawn()
        for server in self.servers:
            server.wait_ready()
        wait_until('all are members', lambda: all(self.whole(s.status()) for s in self.servers))
        for server in self.servers:
            server.identity = server.status()['identity']
        self.say('%d servers, seed %s' % (len(self.servers), self.options.seed))

    def whole(self, status):
        members = [s for s in status['servers'] if s['role'] == 'member']
        return len(members) == len(self.servers)

    def kill_servers(self):
        for machine in self.machines:
            if machine.running():
                machine.kill9()

    def all_write(self):
        """Waits until a write at each server passes that began after this."""
        before = {s: self.work.writes_at(s) for s in self.servers}
        begun = time.monotonic()
        wait_until('service at each server', lambda: all(
            # One that was under way when this began may be among them.
            self.work.writes_at(s) > before[s] + len(self.work.writers) for s in self.servers),
                   BACK_SECONDS)
        self.work.check()
        return time.monotonic() - begun

    def round(self):
        names = list(self.bitten)
        self.rng.shuffle(names)
        for name in names:
            together = [name]
            if self.rng.random() < TOGETHER:
                together.insert(0, self.rng.choice(chaos_faults.BACKGROUND))
            with contextlib.ExitStack() as faults:
                proofs = []
                for each in dict.fromkeys(together):
                    proofs.append('%s: %s' % (each, faults.enter_context(
                        chaos_faults.FAULTS[each](self.world))))
                    self.bitten[each] += 1
                self.world.hold()
            back = self.all_write()
            self.say('%s; %d operations; served again after %.1f s' % (
                '; '.join(proofs), self.work.answered(), back))
        # Others relay for who has no link, so that one which never came back would not be missed.
        self.world.all_links_up()

    def run(self):
        self.boot()
        self.work = chaos_clients.Workload(self.machines, self.options.seed)
        self.work.start()
        try:
            self.all_write()
            rounds = 0
            while rounds < self.options.rounds or (
                    time.monotonic() - self.begun < 60 * self.options.minutes):
                self.round()
                rounds += 1
            last = self.work.audit(self.servers, wait_until)
        finally:
            for actor in (*self.work.writers, *self.work.watchers):
                actor.ended.set()
            with open(self.history_path, 'w') as f:
                f.write(self.work.history())
        self.say('%d operations, %d revisions; every fault bit %d times at the least' % (
            self.work.answered(), last, min(self.bitten.values())))
        if self.work.answered() < self.options.operations:
            raise AssertionError('%d operations are too few; %d are wanted' % (
                self.work.answered(), self.options.operations))

    @property
    def history_path(self):
        return os.path.join(self.directory, 'history')

    def close(self):
        self.exits.close()


def judge(history):
    """What doozer-check says; fails if it finds anything wrong."""
    judged = subprocess.run([doozer_system.program('doozer-check'), history], text=True,
                            capture_output=True)
    said = judged.stdout + judged.stderr
    if judged.returncode != 0:
        raise AssertionError('doozer-check:\n' + said[:10_000])
    return said


def overlap(said):
    """Of the judge's figures: which part of the operations met another one."""
    figures = dict(word.split('=') for word in said.split() if '=' in word)
    met, of = figures['overlapped'].split('/')
    return int(met) / int(of)


def run(options, directory):
    """A whole run; gives the path of its history."""
    os.makedirs(directory)
    this = Run(options, directory)
    try:
        this.run()
    finally:
        this.close()
    said = judge(this.history_path)
    this.say('doozer-check: ' + said.strip())
    if overlap(said) < 0.2:
        raise AssertionError('hardly any operations overlap: this proves little')
    return this.history_path


def parse(args=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=0, help='go on for so long')
    parser.add_argument('--rounds', type=int, default=ROUNDS, help='each fault at least so often')
    parser.add_argument('--seed', default=str(random.SystemRandom().randrange(1_000_000)))
    parser.add_argument('--servers', type=int, default=3, choices=(3, 5))
    parser.add_argument('--brief', action='store_true', help='without faults that take long')
    parser.add_argument('--operations', type=int, default=OPERATIONS, help='fewer are a failure')
    parser.add_argument('--directory', default=os.path.join(doozer_system.TOP, 'build', 'chaos'),
                        help='where data, logs and history are, on a disk that is not busy')
    return parser.parse_args(args)


def main():
    options = parse()
    doozer_net.prepare()
    directory = os.path.join(options.directory, 'seed-%s-%d' % (options.seed, os.getpid()))
    try:
        run(options, directory)
    except BaseException:
        print('\n== failed. History and logs are in %s. To rerun:\n  %s --seed %s --servers %d '
              '--rounds %d --minutes %g%s' % (directory, os.path.relpath(__file__), options.seed,
                                              options.servers, options.rounds, options.minutes,
                                              ' --brief' if options.brief else ''),
              file=sys.stderr, flush=True)
        raise
    shutil.rmtree(directory)


if __name__ == '__main__':
    main()
