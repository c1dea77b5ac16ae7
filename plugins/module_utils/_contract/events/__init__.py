"""The events of a run: one class for each event of the journal (``journal.jsonl``).

An event is written as one JSON object with its name in ``event``, its time in ``t`` and the fields of its class. Rounds
count from 1. A new event is one class in a module of this package, with its fields and, in :meth:`Event.apply_to`, its
effect on the course, and its name below.

Journals of other versions can be read: an event that is not known here is an :class:`UnknownEvent`, a field that is
missing or makes no sense is None. Reading never raises.
"""

from ..event import Event as Event
from ..event import UnknownEvent as UnknownEvent
from .course import ClientResult as ClientResult
from .course import CourseFailed as CourseFailed
from .course import CourseFinished as CourseFinished
from .course import Evaluated as Evaluated
from .course import RoundDeadline as RoundDeadline
from .course import RoundQuorum as RoundQuorum
from .course import RoundStarted as RoundStarted
from .course import TargetReached as TargetReached
from .course import TrainingFinished as TrainingFinished
from .course import UpdateLate as UpdateLate
from .devices import ClientLost as ClientLost
from .devices import DeviceExited as DeviceExited
from .devices import DeviceFinished as DeviceFinished
from .devices import DeviceJoined as DeviceJoined
from .devices import DeviceLoading as DeviceLoading
from .devices import DeviceMissedEnd as DeviceMissedEnd
from .devices import DeviceReady as DeviceReady
from .devices import DeviceStarted as DeviceStarted
from .devices import DeviceWarned as DeviceWarned
from .gate import GateOpened as GateOpened
from .gate import LimitCorrected as LimitCorrected
from .gate import LoadingStarted as LoadingStarted
from .lab import AwaitingLabHosts as AwaitingLabHosts
from .lab import ClockMeasured as ClockMeasured
from .lab import GateMeasured as GateMeasured
from .lab import LabHostCutOff as LabHostCutOff
from .lab import LabHostLost as LabHostLost
from .lab import LabHostUnreachable as LabHostUnreachable
from .lab import OutcomeReceived as OutcomeReceived
from .lab_host import AgentCannotWrite as AgentCannotWrite
from .lab_host import AgentStarted as AgentStarted
from .lab_host import AgentStopped as AgentStopped
from .lab_host import DevicesEmulated as DevicesEmulated
from .lab_host import EngineMissing as EngineMissing
from .lab_network import ClientsTooClose as ClientsTooClose
from .lab_network import LabHostReached as LabHostReached
from .lab_network import LabNetworkJoined as LabNetworkJoined
from .lab_network import LinksTooLong as LinksTooLong
from .links import LinkCounted as LinkCounted
from .links import LinkFailed as LinkFailed
from .links import LinkMeasured as LinkMeasured
from .links import LinkReapplied as LinkReapplied
from .links import LinkRestored as LinkRestored
from .links import LinkShaped as LinkShaped
from .links import LinksMeasured as LinksMeasured
from .links import LinksUnshaped as LinksUnshaped
from .links import PacketsTimed as PacketsTimed
from .reading import FORMER_NAMES as FORMER_NAMES
from .reading import parse as parse
from .reading import parse_line as parse_line
from .timeline import EventBegun as EventBegun
from .timeline import EventEnded as EventEnded
from .timeline import EventFailed as EventFailed
from .timeline import TimelineEvent as TimelineEvent
from .variations import LinksVaried as LinksVaried
from .variations import LinksVarying as LinksVarying
