"""Processes that store one correction after the other until they are killed: `python -m tests.writers URL ROUNDS`.

Each round starts two and kills both after a random time. What they were told is stored is printed, a JSON list of texts a round.
"""

import json
import os
import random
import signal
import sys
import time

from serving.corrections import Correction, Store

LONGEST_S = 0.3


def write(url, name, told):
    store = Store(url)
    for number in range(10_000):
        text = f"{name} number {number}"
        store.add(Correction("task", text=text, label="for", model="m", predicted="against"))
        os.write(told, f"{text}\n".encode())


def main():
    url, rounds = sys.argv[1], int(sys.argv[2])
    moment = random.Random(7)
    for number in range(rounds):
        read, told = os.pipe()
        writers = []
        for name in ("one", "two"):
            writers.append(os.fork())
            if writers[-1] == 0:
                write(url, f"{name} of round {number},", told)
        os.close(told)
        time.sleep(0.05 + moment.uniform(0, LONGEST_S))
        for writer in writers:
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
        with os.fdopen(read, encoding="utf-8") as answers:
            sys.stdout.write(json.dumps(answers.read().splitlines()) + "\n")


if __name__ == "__main__":
    main()
