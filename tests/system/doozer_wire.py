#!/usr/bin/env python3
"""A slow wire between two machines: packets come late, and overtake each other.

It joins two TUN devices, one in each machine's namespace; what is routed into the one comes out of
the other, each packet after a delay of its own.

    doozer_wire.py FD_A FD_B DELAY_MS JITTER_MS SEED

says "overtaken" when that happened for the first time, and runs until its standard input ends; then
it prints {"packets": .., "overtaken": ..}.
"""
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

import doozer_system

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
NAME = 'slow0'
TUN = '/dev/net/tun'
PACKET_BYTES = 65_536


def carry(ends, delay, jitter, rng):
    waiting = []  # (when, number, to, packet)
    newest = {end: 0 for end in ends}
    packets = overtaken = 0
    poller = select.poll()
    for fd in (*ends, 0):
        poller.register(fd, select.POLLIN | select.POLLHUP)
    while True:
        left = max(0, waiting[0][0] - time.monotonic()) if waiting else 1
        for fd, _ in poller.poll(left * 1000):
            if fd == 0:
                return {'packets': packets, 'overtaken': overtaken}
            packet = os.read(fd, PACKET_BYTES)
            packets += 1
            due = time.monotonic() + delay + rng.random() * jitter
            to = ends[1] if fd == ends[0] else ends[0]
            heapq.heappush(waiting, (due, packets, to, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, number, to, packet = heapq.heappop(waiting)
            if number < newest[to]:
                overtaken += 1
                if overtaken == 1:
                    print('overtaken', flush=True)
            newest[to] = max(newest[to], number)
            try:
                os.write(to, packet)
            except OSError:
                pass  # its machine does not take it: lost, as packets are


class Wire:
    """Between two machines of a net; made once, slow while it is told to be."""

    def __init__(self, net):
        if not os.access(TUN, os.R_OK | os.W_OK):
            raise AssertionError('%s cannot be opened: no packet can be delayed here' % TUN)
        self.net = net
        self.devices = {}
        self.process = None

    def device(self, number):
        """The descriptor of that machine's TUN device, which lives as long as it is open."""
        if number not in self.devices:
            space = self.net.spaces[number]
            with space:
                fd = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
                fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', NAME.encode(),
                                                       IFF_TUN | IFF_NO_PI))
                for name in ('all', NAME):  # what comes this way looks as if it came another
                    with open('/proc/sys/net/ipv4/conf/%s/rp_filter' % name, 'r+') as f:
                        if f.read().strip() != '0':
                            f.write('0')
            space.run('ip', 'link', 'set', NAME, 'up')
            self.devices[number] = fd
        return self.devices[number]

    def begin(self, a, b, delay_ms, jitter_ms, seed):
        ends = (self.device(a), self.device(b))
        self.process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', sys.executable, '-B', __file__, *map(str, ends),
             str(delay_ms), str(jitter_ms), str(seed)],
            pass_fds=ends, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for here, there in ((a, b), (b, a)):
            self.route('add', here, there, 'src', self.net.address(here))

    def end(self, a, b):
        """Gives what it did."""
        for here, there in ((a, b), (b, a)):
            self.route('del', here, there)
        told, _ = self.process.communicate(timeout=doozer_system.STOP_SECONDS)
        return json.loads(told.splitlines()[-1])

    def has_overtaken(self):
        """Whether a packet has overtaken another one since begin()."""
        return doozer_system.select_readable(self.process.stdout, 0)

    def route(self, what, here, there, *more):
        self.net.spaces[here].run('ip', 'route', what, self.net.address(there) + '/32', 'dev', NAME,
                                  *more)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in self.devices.values():
            os.close(fd)


def main():
    a, b, delay_ms, jitter_ms = map(int, sys.argv[1:5])
    told = carry((a, b), delay_ms / 1000, jitter_ms / 1000, random.Random(sys.argv[5]))
    print(json.dumps(told))


if __name__ == '__main__':
    main()
