"""Which qdiscs a direction has throughout a course, and what of its links none can be changed to."""

from __future__ import annotations

import pytest

from fedsim_runner.agent.kernel import kernel_qdiscs
from fedsim_runner.agent.links import backends
from fedsim_runner.agent.links.netem.course_form import CourseForm, is_handle, lacking
from fedsim_runner.agent.links.netem.qdisc import Netem
from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import Link, Queue

PLAIN, UNLIMITED = Link(1_000_000, 5_000), Link(None, 5_000)
TWICE, TWICE_UNLIMITED = Link(1_000_000, duplicate=0.1), Link(None, 5_000, duplicate=0.1)
CODEL = Link(1_000_000, queue=Queue(discipline="codel"))
FQ_CODEL = Link(1_000_000, queue=Queue(discipline="fq_codel"))
BURSTY = Link(1_000_000, loss=0.04, bursts=GilbertElliott(0.01, 0.24))


@pytest.mark.parametrize(
    ("links", "form"),
    [
        ([PLAIN, UNLIMITED, BURSTY], CourseForm(None, True)),
        ([CODEL, UNLIMITED], CourseForm("codel", True)),
        ([FQ_CODEL], CourseForm("fq_codel", True)),
        ([TWICE, TWICE_UNLIMITED, UNLIMITED], CourseForm("fifo", False)),
    ],
    ids=["netem", "codel", "fq_codel", "duplicates"],
)
def test_a_form_holds_for_all_links_of_a_course(links: list[Link], form: CourseForm) -> None:
    assert CourseForm.of(links) == form and list(lacking(links)) == []
    qdiscs = [Netem.for_link(link, form) for link in links]
    for first in qdiscs:
        assert first is not None and all(first.forms(other) is not None for other in qdiscs)
        roots = {words[6] for words in first.commands("eth0", 7) if "root" in words}
        assert roots == {f"{form.handle:x}:"}


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ([CODEL, PLAIN], "from one queue discipline to another"),
        ([CODEL, FQ_CODEL], "from one queue discipline to another"),
        ([TWICE, PLAIN], "begin or cease to duplicate"),
        ([TWICE, BURSTY], "in bursts on links that duplicate packets"),
    ],
    ids=["fifo", "another", "duplicates", "bursts"],
)
def test_what_no_form_can_become_is_refused_where_it_changes(links: list[Link], said: str) -> None:
    assert not any("during the course" in one for one in backends.refusals(links))
    assert any(said in one for one in backends.refusals(links, [links]))
    first, second = (Netem.for_link(link, CourseForm.of([link])) for link in links)
    assert first is not None and (first.forms(second) is None or "in bursts" in said)


def test_each_form_has_a_root_of_its_own_whose_delay_may_move() -> None:
    forms = [CourseForm(None)] + [
        CourseForm(name, apart) for name in ("fifo", "codel", "fq_codel") for apart in (True, False)
    ]
    handles = [form.handle for form in forms]
    assert len(set(handles)) == len(handles)
    assert all(is_handle(handle) and handle in kernel_qdiscs.MOVING_HANDLES for handle in handles)
    for link in (PLAIN, TWICE, CODEL, FQ_CODEL, BURSTY, Link(1_000_000, 9_000, 500, duplicate=0.1)):
        alone = Netem.for_link(link)
        assert alone is not None
        roots = [words[6] for words in alone.commands("eth0", 7) if "root" in words]
        assert not any(is_handle(int(root.rstrip(":"), 16)) for root in roots)
