#!/usr/bin/env python3
"""Measures one server on this machine: throughput, latency, CPU time per operation, memory of a large
tree, recovery. Prints one line a measurement.

  bench/single_server.py [--build build/release] [--seconds 3] [--files 1000000] [--only REGEX]

The figures of one run compare with each other; the machine is shared, so those of different runs do
not. Data goes to a temporary directory beside the build, on a real file system.
"""
import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SET_IN_FLIGHT = [1, 64, 256, 1000]


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, build, directory, *flags):
        self.build, self.directory, self.flags = build, directory, flags
        self.address = '127.0.0.1:%d' % free_port()
        self.process = None

    def start(self):
        """Starts it and waits until it answers; gives the seconds that took."""
        began = time.monotonic()
        log = open(os.path.join(self.directory, 'server.log'), 'ab')
        self.process = subprocess.Popen(
            [os.path.join(self.build, 'cmd/doozerd'), '--listen', self.address, '--data-dir',
             os.path.join(self.directory, 'data'), *self.flags], stdout=log, stderr=log)
        while not self.answers():
            if self.process.poll() is not None:
                sys.exit('doozerd ended with %d; see %s' % (self.process.returncode, log.name))
            if time.monotonic() - began > 120:
                sys.exit('doozerd does not answer')
            time.sleep(0.005)
        return time.monotonic() - began

    def answers(self):
        host, port = self.address.rsplit(':', 1)
        try:
            with socket.create_connection((host, int(port)), timeout=1) as s:
                s.settimeout(5)
                s.sendall(b'\0\0\0\4\x08\1\x10\5')  # REV, tag 1
                return len(s.recv(64)) > 4
        except OSError:
            return False

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(60)

    def rss_mb(self):
        with open('/proc/%d/status' % self.process.pid) as f:
            return int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1)) / 1024

    def load(self, *args):
        return subprocess.run(
            [os.path.join(self.build, 'bench/doozer-load'), '-a', self.address, '--server-pid',
             str(self.process.pid), *map(str, args)], check=True, text=True,
            capture_output=True).stdout.strip()

    def fanout(self, *args):
        return subprocess.run(
            [os.path.join(self.build, 'bench/doozer-fanout'), '-a', self.address, '--server-pid',
             str(self.process.pid), *map(str, args)], check=True, text=True,
            capture_output=True).stdout.strip()


def throughput(server, a):
    server.load('--op', 'set', '--fill', '--seconds', 0.2, '--warm-up', 0)
    for op in ('set', 'get', 'lget'):
        for n in SET_IN_FLIGHT:
            print(server.load('--op', op, '-c', min(16, n), '-n', n, '--seconds', a.seconds),
                  flush=True)
    print(server.fanout('-w', 1000, '-c', 1000), flush=True)


def memory(directory, a):
    where = os.path.join(directory, 'large')
    os.mkdir(where)
    server = Server(a.build, where, '--history', '1')
    server.start()
    empty = server.rss_mb()
    server.load('--op', 'get', '--fill', '--keys', a.files, '-n', 1000, '--seconds', 0.2,
                '--warm-up', 0)
    time.sleep(1)
    raw = a.files * (32 + 256) / 1e6
    used = server.rss_mb() * 1.048576
    print('memory %d files of 32 + 256 bytes, history 1: %.0f MB resident (empty server %.0f MB), '
          '%.2f times the raw %.0f MB' % (a.files, used, empty * 1.048576, used / raw, raw),
          flush=True)
    server.stop()
    for how in ('graceful stop', 'kill -9'):
        took = server.start()
        print('recovery of %d files after %s: %.2f s to the first answer, %.0f MB resident' %
              (a.files, how, took, server.rss_mb() * 1.048576), flush=True)
        server.stop(signal.SIGKILL)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--build', default='build/release')
    p.add_argument('--seconds', type=float, default=3)
    p.add_argument('--files', type=int, default=1_000_000)
    p.add_argument('--only', default='')
    a = p.parse_args()
    directory = tempfile.mkdtemp(prefix='bench-', dir=os.path.dirname(a.build) or '.')
    try:
        if re.search(a.only, 'throughput'):
            server = Server(a.build, directory)
            server.start()
            try:
                throughput(server, a)
            finally:
                server.stop()
        if re.search(a.only, 'memory'):
            memory(directory, a)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == '__main__':
    main()
