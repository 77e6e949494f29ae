"""Processes that store one correction after the other until they are killed: `python -m tests.writers URL ROUNDS`.

Each round starts two and kills both: a random time after the start, or every other round after the first that is stored, however
slow the machine is. What they were told is stored is printed, a JSON list of texts a round.
"""

import json
import os
import random
import signal
import sys
import time

from serving.corrections import Correction, Store

LONGEST_S = 0.15


def write(url, name, told):
    store = Store(url)
    for number in range(10_000):
        text = f"{name} number {number}"
        store.add(Correction("task", text=text, label="for", model="m", predicted="against"))
        os.write(told, f"{text}\n".encode())


def main():
    url, rounds = sys.argv[1], int(sys.argv[2])
    moment = random.Random(7)
    Store(url).close()  # what the writers need is imported once
    for number in range(rounds):
        read, told = os.pipe()
        writers = []
        for name in ("one", "two"):
            writers.append(os.fork())
            if writers[-1] == 0:
                write(url, f"{name} of round {number},", told)
        os.close(told)
        first = os.read(read, 1) if number % 2 else b""
        time.sleep(moment.uniform(0, LONGEST_S))
        for writer in writers:
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
        with os.fdopen(read, "rb") as answers:
            told_texts = (first + answers.read()).decode().splitlines()
        sys.stdout.write(json.dumps(told_texts) + "\n")


if __name__ == "__main__":
    main()
