"""
A Raspberry Pi Pico with stock MicroPython firmware, emulated: real littlefs on a flash
whose power can fail, a real heap, and time that passes with executed instructions.

    firmware.py     builds the firmware from Debian's sources, once: `make pico-firmware`
    image.py        the contents of a flash: firmware, and a littlefs with files
    pico.py         one that runs: Pico(flash).run("print(1)")
    emulator/       rp2040js under Node.js, a boot ROM of our own, power cuts

It takes five to ten seconds for one of its own. It has no radio, and no TLS.
"""
