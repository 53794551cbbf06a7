"""The horizontal pod autoscaler controller.

In:   HorizontalPodAutoscalers, the scale of their targets, metrics, pods.
Out:  the targets scaled; the status of the autoscalers; events.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec, errors, selectors
from kybern.api.autoscaling.v1 import Scale
from kybern.api.autoscaling.v2 import HorizontalPodAutoscaler
from kybern.api.core.v1 import Pod
from kybern.api.quantity import parse
from kybern.api.scheme import SCHEME, Kind
from kybern.client.discovery import discover
from kybern.client.transport import Unreachable
from kybern.controllers.podautoscaler.behavior import History
from kybern.controllers.podautoscaler.measuring import Target, measure
from kybern.controllers.podautoscaler.plan import (
    ABLE,
    ACTIVE,
    Decision,
    Measured,
    Status,
    bounds_of,
    by_metrics,
    without_metrics,
)
from kybern.controllers.podautoscaler.readings import Readings
from kybern.controllers.podautoscaler.replicas import Rules
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.api.autoscaling.v2 import HorizontalPodAutoscalerStatus
    from kybern.controllers.runtime.host import Context

NO_SCALE = "the HPA controller was unable to get the target's current scale: {}"
GOT_SCALE = "the HPA controller was able to get the target's current scale"
SHARED = "pods by selector {} are controlled by multiple HPAs: [{}]"


class PodAutoscalerController:
    """Scales by metrics."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._period = ctx.config.autoscaler_sync_period
        self._downscale_window = ctx.config.autoscaler_downscale_stabilization
        self._rules = Rules(
            ctx.config.autoscaler_tolerance,
            ctx.config.autoscaler_tolerance,
            ctx.config.autoscaler_cpu_initialization_period,
            ctx.config.autoscaler_initial_readiness_delay,
        )
        self._readings = Readings(ctx.client)
        self._autoscalers = ctx.informers.of(HorizontalPodAutoscaler)
        self._pods = ctx.informers.of(Pod)
        self._histories: dict[Key, History] = {}
        self._selectors: dict[Key, str] = {}
        self._loop: Loop[Key] = Loop(
            "horizontal-pod-autoscaler",
            self.reconcile,
            after=(self._autoscalers, self._pods),
            workers=ctx.config.workers,
        )
        self._autoscalers.on(
            add=lambda one: self._loop.add(key_of(one)),
            update=self._changed,
            delete=lambda one: self._loop.add(key_of(one)),
        )

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Look at one autoscaler; again after the period."""
        autoscaler = self._autoscalers.get(*key)
        if autoscaler is None:
            self._histories.pop(key, None)
            self._selectors.pop(key, None)
            return DONE
        status = Status(autoscaler, self._clock.now())
        try:
            kind, scale = await self._scale(autoscaler)
        except (errors.ApiError, Unreachable, LookupError) as error:
            text = str(error)
            self._recorder.event(autoscaler, "Warning", "FailedGetScale", text)
            message = NO_SCALE.format(text)
            status.say(ABLE, yes=False, reason="FailedGetScale", message=message)
            await self._write(autoscaler, status.value)
            return After(self._period)
        status.say(ABLE, yes=True, reason="SucceededGetScale", message=GOT_SCALE)
        decision = await self._decide(key, autoscaler, scale, status)
        if decision.error:
            text = "FailedComputeMetricsReplicas"
            self._recorder.event(autoscaler, "Warning", text, decision.error)
        elif decision.replicas is not None:
            await self._rescale(key, autoscaler, kind, scale, decision, status)
        await self._write(autoscaler, decision.status)
        return After(self._period)

    async def _decide(
        self, key: Key, autoscaler: HorizontalPodAutoscaler, scale: Scale, status: Status
    ) -> Decision:
        current = scale.spec.replicas or 0
        bounds = bounds_of(autoscaler, self._downscale_window)
        decision = without_metrics(current, bounds, status)
        if decision is not None:
            return decision
        selector = (scale.status and scale.status.selector) or ""
        problem = self._problem(key, selector)
        if problem is not None:
            reason, message = problem
            self._recorder.event(autoscaler, "Warning", reason, message)
            status.say(ACTIVE, yes=False, reason=reason, message=message)
            status.value.currentReplicas = current
            return Decision(None, status.value, error=message)
        target = self._target(autoscaler, scale, selector, status.now)
        measured = [
            await measure(self._readings, spec, target) for spec in autoscaler.spec.metrics or ()
        ]
        for each in measured:
            if each.error:
                self._recorder.event(autoscaler, "Warning", each.reason, each.error)
        history = self._histories.setdefault(key, History())
        return by_metrics(current, measured or [NOTHING], bounds, history, status)

    def _target(
        self, autoscaler: HorizontalPodAutoscaler, scale: Scale, selector: str, now: float
    ) -> Target:
        namespace = autoscaler.metadata.namespace or ""
        wanted = selectors.parse(selector)
        pods = [p for p in self._pods.list(namespace) if wanted.matches(p.metadata.labels)]
        running = (scale.status and scale.status.replicas) or 0
        rules = _own(self._rules, autoscaler)
        return Target(namespace, selector, pods, scale.spec.replicas or 0, running, rules, now)

    def _problem(self, key: Key, selector: str) -> tuple[str, str] | None:
        """Return why the pods of a target cannot be told; None when they can."""
        if not selector:
            return "InvalidSelector", "the HPA target's scale is missing a selector"
        self._selectors[key] = selector
        mine = selectors.parse(selector)
        for pod in self._pods.list(key.namespace):
            labels = pod.metadata.labels
            if not mine.matches(labels):
                continue
            others = [
                str(other)
                for other, text in self._selectors.items()
                if other.namespace == key.namespace and selectors.parse(text).matches(labels)
            ]
            if len(others) > 1:
                return "AmbiguousSelector", SHARED.format(selector, " ".join(sorted(others)))
        return None

    # --- the target ---------------------------------------------------------------------------

    async def _scale(self, autoscaler: HorizontalPodAutoscaler) -> tuple[Kind, Scale]:
        reference = autoscaler.spec.scaleTargetRef
        kind = await self._kind(reference.apiVersion or "", reference.kind)
        path = kind.path(autoscaler.metadata.namespace or "", reference.name, "scale")
        return kind, codec.decode(await self._client.raw("GET", path), Scale)

    async def _kind(self, api_version: str, name: str) -> Kind:
        """Return the resource of a kind; built-in ones are known, others are looked up.

        Raises:
            LookupError: there is none.
        """
        found = SCHEME.by_kind(api_version, name)
        if found is not None:
            return found
        group = api_version.rpartition("/")[0]
        for kind in (await discover(self._client)).kinds:
            if (kind.group, kind.kind) == (group, name):
                return kind
        raise LookupError(f'no matches for kind "{name}" in group "{group}"')

    async def _rescale(
        self,
        key: Key,
        autoscaler: HorizontalPodAutoscaler,
        kind: Kind,
        scale: Scale,
        decision: Decision,
        status: Status,
    ) -> None:
        before, after = scale.spec.replicas or 0, decision.replicas or 0
        scale.spec.replicas = after
        path = kind.path(scale.metadata.namespace or "", scale.metadata.name or "", "scale")
        told = f"New size: {after}; reason: {decision.why}"
        try:
            await self._client.raw("PUT", path, codec.encode(scale))
        except (errors.ApiError, Unreachable) as error:
            self._recorder.event(autoscaler, "Warning", "FailedRescale", f"{told}; error: {error}")
            text = f"the HPA controller was unable to update the target scale: {error}"
            status.say(ABLE, yes=False, reason="FailedUpdateScale", message=text)
            status.value.desiredReplicas = before
            status.value.lastScaleTime = autoscaler.status.lastScaleTime
            return
        text = f"the HPA controller was able to update the target scale to {after}"
        status.say(ABLE, yes=True, reason="SucceededRescale", message=text)
        self._recorder.event(autoscaler, "Normal", "SuccessfulRescale", told)
        self._histories.setdefault(key, History()).scaled(before, after, self._clock.now())

    async def _write(
        self, autoscaler: HorizontalPodAutoscaler, status: HorizontalPodAutoscalerStatus
    ) -> None:
        if codec.equal(status, autoscaler.status):
            return
        mine = codec.clone(autoscaler)
        mine.status = status
        await self._client.update_status(mine)

    def _changed(self, old: HorizontalPodAutoscaler, new: HorizontalPodAutoscaler) -> None:
        if not codec.equal(old.spec, new.spec):
            self._loop.add(key_of(new))


NOTHING = Measured("", reason="InvalidMetricSourceType", error="no metrics are named")


def _own(rules: Rules, autoscaler: HorizontalPodAutoscaler) -> Rules:
    """Return the rules with the tolerances that an autoscaler sets itself."""
    behavior = autoscaler.spec.behavior
    if behavior is None:
        return rules
    up, down = behavior.scaleUp, behavior.scaleDown
    if up is not None and up.tolerance is not None:
        rules = rules._replace(tolerance_up=parse(up.tolerance).nanos / 1e9)
    if down is not None and down.tolerance is not None:
        rules = rules._replace(tolerance_down=parse(down.tolerance).nanos / 1e9)
    return rules
