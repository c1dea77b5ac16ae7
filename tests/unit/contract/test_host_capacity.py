"""The model of a processor, as the kernel lists it."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.host_capacity import describe_processor

X86 = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 80
model name\t: AMD Ryzen 5 5500
stepping\t: 0

processor\t: 1
model name\t: another
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 108.00
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1
"""


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (X86, "AMD Ryzen 5 5500 (cpu family 25, model 80, stepping 0)"),
        (ARM, "CPU implementer 0x41, CPU part 0xd0b, CPU revision 1"),
        ("model name : alone\n", "alone"),
        ("", ""),
    ],
)
def test_the_first_processor_is_described(text: str, model: str) -> None:
    assert describe_processor(text) == model
