"""MessagePack as far as SPEC.md, "Values" uses it, and the numbers of "Primitives"."""

import struct

FIXED = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
FIXED |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
SIZED = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
MANY = {0xDC: (">H", 1), 0xDD: (">I", 1), 0xDE: (">H", 2), 0xDF: (">I", 2)}
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        self.at += size
        assert self.at <= len(self.data), "it ends too early"
        return self.data[self.at - size : self.at]

    def unpack(self, form):
        (number,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return number

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return number

    def zigzag(self):
        number = self.varint()
        return number >> 1 if not number & 1 else -(number + 1 >> 1)

    def text(self):
        return self.take(self.varint()).decode()

    def value(self):
        head = self.byte()
        if head < 0x80:
            return head
        if head >= 0xE0:
            return head - 256
        if head < 0x90:
            return self._map(head & 0x0F)
        if head < 0xA0:
            return [self.value() for _ in range(head & 0x0F)]
        if head < 0xC0:
            return self.take(head & 0x1F).decode()
        if head in CONSTANTS:
            return CONSTANTS[head]
        if head in FIXED:
            return self.unpack(FIXED[head])
        if head in SIZED:
            data = self.take(self.unpack(SIZED[head]))
            return data if head < 0xD0 else data.decode()
        form, each = MANY[head]
        count = self.unpack(form)
        return self._map(count) if each == 2 else [self.value() for _ in range(count)]

    def _map(self, count):
        return {self.value(): self.value() for _ in range(count)}
