"""How often a button was pressed: a counter, so that presses on many boards add up."""

import asyncio

from machine import Pin

from edge_peer import StoreFull

PIN = 14
DEBOUNCE_MS = 30
NEW = "INSERT INTO buttons DOCUMENTS (:b) ON ID CONFLICT DO NOTHING"
ADD = "UPDATE buttons APPLY pressed INCREMENT BY 1 WHERE _id = 'front'"


async def main(peer):
    button = Pin(PIN, Pin.IN, Pin.PULL_UP)
    peer.execute(
        "INSERT INTO buttons DOCUMENTS (:b) ON ID CONFLICT DO NOTHING", {"b": {"_id": "front"}}
    )
    was_down = False
    while True:
        is_down = not button.value()
        if is_down and not was_down:
            try:
                peer.execute(ADD)
            except StoreFull:
                print("button: a press was not counted, the store is full")
        was_down = is_down
        await asyncio.sleep_ms(DEBOUNCE_MS)
