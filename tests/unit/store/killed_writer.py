"""Writes to a store until it is killed, and says on stdout what has been kept: `killed_writer.py FILE SEED`.

Each line is `STREAM NUMBER`: the event of that number, the record `STREAM` that travelled with it, and all before.
"""

import asyncio
import random
import sys

from a2a_bridge.store.contract import Change
from a2a_bridge.store.sqlite import SQLiteStore


async def write(store: SQLiteStore, name: str, dice: random.Random) -> None:
    claim = await store.claim(name)
    last = claim.last
    while True:
        events = [
            f"{name} {last + n}".encode().ljust(dice.choice([10, 100, 5000])) for n in range(1, dice.randint(2, 9))
        ]
        row = Change(
            "task", name, b"%d" % (last + len(events)), group="g", sort=f"{last:09}", labels=(f"{last % 3}", "")
        )
        await store.append(name, claim.epoch, last + 1, events, [row])
        last += len(events)
        print(name, last, flush=True)


async def main(file: str, seed: str) -> None:
    store = SQLiteStore(file)
    await store.open()
    await asyncio.gather(*[write(store, f"stream {n}", random.Random(f"{seed} {n}")) for n in range(8)])


asyncio.run(main(*sys.argv[1:]))
