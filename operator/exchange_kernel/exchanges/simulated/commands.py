"""The faults as commands: what `POST /control/faults` takes, and what each sets. Their names for people are in `presets.py`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.faults import Network, RequestFault, StreamFaults
from exchange_kernel.exchanges.simulated.stream import Streams
from exchange_kernel.exchanges.simulated.visibility import LONGEST_LAG_MS

Probability = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[int, Field(ge=0)]


class Door(Protocol):
    """The venue's own port."""

    async def open(self) -> None: ...

    async def shut(self, *, but: web.Request | None) -> None:
        """Connections are refused from now on, and dropped but that of this request."""
        ...


class Command(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class VisibilityDelay(Command):
    """Of orders and trades from now on."""

    do: Literal["visibility-delay"]
    ms: Milliseconds


class Reads(Command):
    """What is said here holds until it is lifted, beside what was said before."""

    do: Literal["reads"]
    lag_ms: Annotated[int, Field(ge=0, le=LONGEST_LAG_MS)] | None = None
    stale_ms: Annotated[int, Field(ge=0, le=LONGEST_LAG_MS)] | None = None
    keep: Annotated[int, Field(ge=0)] | None = None
    purged_ms: Milliseconds | None = None
    trades_late_ms: Milliseconds | None = None
    trades_missing: Probability | None = None
    trades_duplicated: Probability | None = None


class DropEvents(Command):
    do: Literal["drop-events"]
    count: int = Field(ge=0)


class UnreliableStream(Command):
    """Until it is lifted or said again: probabilities, of each event."""

    do: Literal["unreliable-stream"]
    silent: bool = False
    loss: Probability = 0
    duplication: Probability = 0
    reordering: Probability = 0
    staleness: Probability = 0
    late_ms: Milliseconds = 0
    trades_only: bool = False


class StreamFault(Command):
    do: Literal["disconnect-stream", "terminate-stream", "close-stream"]


class Silence(Command):
    do: Literal["silence"]
    mode: Literal["hang", "refuse"] = "hang"


class ReuseIds(Command):
    """The venue takes a second order under the id of one that is still open."""

    do: Literal["reuse-ids"]


class ClockSkew(Command):
    do: Literal["clock-skew"]
    ms: int


class SecondAccount(Command):
    """Another account with a key of its own, behind the same address and its one limit."""

    do: Literal["second-account"]
    api_key: str = "second-api-key"
    api_secret: str = Field(default="second-api-secret", repr=False)


class Lift(Command):
    do: Literal["lift"]


Fault = RequestFault | VisibilityDelay | Reads | DropEvents | UnreliableStream | StreamFault | Silence | ReuseIds | ClockSkew | SecondAccount | Lift
FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="do")])


@dataclass(frozen=True, slots=True)
class Breaker:
    """Sets faults, and lifts them."""

    exchange: SimulatedExchange
    streams: Streams
    door: Door

    async def set(self, fault: Fault, *, by: web.Request | None = None) -> None:
        """`by`: the request that asks for it, which is still answered. Raises ValueError where it can't be done."""
        exchange = self.exchange
        match fault:
            case RequestFault():
                exchange.faults.add(fault)
            case VisibilityDelay(ms=ms):
                exchange.visibility.delay_ms = ms
            case Reads():
                for field in fields(exchange.visibility.faults):
                    if (value := getattr(fault, field.name)) is not None:
                        setattr(exchange.visibility.faults, field.name, value)
            case DropEvents(count=count):
                exchange.faults.events_to_drop = count
            case UnreliableStream():
                exchange.faults.stream = StreamFaults(**fault.model_dump(exclude={"do"}))
            case StreamFault(do="disconnect-stream"):
                self.streams.disconnect()
            case StreamFault(do="terminate-stream"):
                self.streams.terminate()
            case StreamFault():
                await self.streams.close()
            case Silence(mode=mode):
                exchange.faults.network = Network(mode)
                if mode == "refuse":
                    await self.door.shut(but=by)
            case ReuseIds():
                exchange.reuse_ids(allowed=True)
            case ClockSkew(ms=ms):
                exchange.clock.offset_ms = ms
            case SecondAccount(api_key=key, api_secret=secret):
                exchange.open_account(key, secret)
            case Lift():
                await self.lift()

    async def lift(self) -> None:
        """All is as it was at the start, but for accounts that were opened; what was hidden shows at once."""
        exchange = self.exchange
        exchange.faults.lift()
        exchange.visibility.delay_ms = exchange.settings.visibility_delay_ms
        exchange.visibility.lift()
        exchange.reuse_ids(allowed=False)
        exchange.clock.offset_ms = 0
        await self.door.open()

    def document(self) -> dict[str, Any]:
        reads = self.exchange.visibility.faults
        return {
            **self.exchange.faults.document(), "visibilityDelayMs": self.exchange.visibility.delay_ms, "clockOffsetMs": self.exchange.clock.offset_ms,
            "reads": {to_camel(field.name): value for field in fields(reads) if (value := getattr(reads, field.name)) != field.default},
        }
