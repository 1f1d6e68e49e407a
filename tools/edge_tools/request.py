"""What somebody asks for who provisions a device: words, not yet looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """One device as it was asked for; the fields are the options and columns."""

    name: str = ""
    board: str = ""
    role: str = "device"
    permissions: str = ""
    days: str = "365"
    serial: str = ""  # a UART's number
    lan: str = ""  # host[:port] of a gateway or Big Peer
    mqtt: str = ""  # host[:port] of a broker
    ble: str = ""  # "yes": over Bluetooth
    wifi: str = ""  # the name of a network
    application: str = ""
    blocks: str = ""
    code: str = "files"
