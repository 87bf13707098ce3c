"""A whole update as one CUDA graph: the GPU is told once what to do, not an operation at a time.

On a small network a GPU finishes an operation sooner than Python asks for the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

Metrics = dict[str, Tensor]
Update = Callable[[], Metrics]

WARM_UP = 3
"""Updates made an operation at a time first: what is made at a first use must not be captured."""

_log = logging.getLogger(__name__)


class UpdateGraph:
    """Makes the first updates as they come, captures the next, and replays it from then on.

    An update can be captured that takes all it needs from tensors which stay in their place, and
    no decision from what is in them. Where one can not be, all go on as they come.
    """

    def __init__(
        self, update: Update, replaceable: Callable[[], Iterable[Tensor]], recorder: Recorder
    ) -> None:
        """`replaceable` gives the tensors in use that may be others later.

        With one of them in another place the update is captured anew.
        """
        self._update, self._replaceable, self._recorder = update, replaceable, recorder
        self._warm_up_left = WARM_UP
        self._places: list[int] = []
        self._replay: Update | None = None

    def __call__(self) -> Metrics:
        """Make one update; return its metrics."""
        if self._warm_up_left:
            self._warm_up_left -= 1
            return self._recorder.warm_up(self._update)
        if self._replay is self._update:
            return self._update()
        places = [tensor.data_ptr() for tensor in self._replaceable()]
        if self._replay is None or places != self._places:
            self._replay, self._places = self._captured(), places
        return self._replay()

    def _captured(self) -> Update:
        self._replay = None  # what it holds of the GPU's memory is free for the next
        try:
            return self._recorder.capture(self._update)
        except RuntimeError as error:
            cause = str(error).partition("\n")[0]
            _log.warning("updates are made without a CUDA graph, which is slower: %s", cause)
            return self._update


class Recorder:
    """Captures updates on a GPU, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)

    def warm_up(self, update: Update) -> Metrics:
        """Make an update where it is captured later, so that all is there that it needs."""
        present = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(present)
        with torch.cuda.stream(self._stream):
            metrics = update()
        present.wait_stream(self._stream)
        return metrics

    def capture(self, update: Update) -> Update:
        """Return what makes the update as a CUDA graph; nothing is learnt by capturing it.

        Raises RuntimeError where it can not be captured.
        """
        with torch.cuda.device(self._stream.device):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self._stream):
                metrics = update()
                packed = torch.stack(list(metrics.values()))
        names = list(metrics)

        def replay() -> Metrics:
            graph.replay()
            # The next replay writes its metrics over these.
            return dict(zip(names, packed.clone().unbind(), strict=True))

        return replay
