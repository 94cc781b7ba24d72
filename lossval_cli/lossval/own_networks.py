"""Networks of the user's own in place of the multilayer perceptrons: E copies of a module, stacked by torch.func, or
called one after the other where it cannot stack them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from lossval_cli.errors import TrainingError
from lossval_cli.lossval.network import PREDICTED_AT_ONCE
from lossval_cli.own_code import FAILURES, describe_error

MakeModule = Callable[[int, int], nn.Module]
"""(inputs, outputs) -> a module with new parameters that maps (B, inputs) to (B, outputs)."""

TRIED_ROWS = 4


class StackedModules:
    """E modules of one architecture and different draws, called like `network.Ensemble`: (B, D) -> (E, B, outputs)."""

    def __init__(
        self,
        make: MakeModule,
        members: int,
        inputs: int,
        outputs: int,
        *,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        """Raise TrainingError, one line, for a module that fails, ignores its input or returns another shape."""
        self._seed = int(torch.randint(2**62, (), generator=generator))
        self._calls, self._members, self._outputs = 0, members, outputs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            modules = [make(inputs, outputs) for _ in range(members)]
            tried = torch.randn(TRIED_ROWS, inputs)
        for each in modules:
            if not isinstance(each, nn.Module):
                raise TrainingError(f"model: its function returned {type(each).__name__}, not a torch.nn.Module")
        _try_out(modules[0], tried, outputs)
        modules = [module.to(device).eval() for module in modules]
        self._base = modules[0]
        # Parameters that nothing depends on have no gradient, and are not learned.
        learned = {name for name, value in self._base.named_parameters() if value.grad is not None}
        self._base.zero_grad()
        self._parameters, self._buffers = stack_module_state(modules)
        self._is_stacked = True  # until torch.func.vmap cannot run the module
        for name, value in self._parameters.items():
            value.requires_grad_(name in learned)

    def __call__(self, X: Tensor, *, training: bool = False) -> Tensor:
        """X (B, D) -> (E, B, outputs)."""
        self._base.train(training)

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            found: Tensor = functional_call(self._base, (parameters, buffers), (X,))
            return found

        with torch.random.fork_rng(devices=[] if X.device.type == "cpu" else [X.device], enabled=training):
            if training:  # the stream of dropout follows from the run's seed
                self._calls += 1
                torch.manual_seed(self._seed + self._calls)
            if self._is_stacked:
                try:
                    output: Tensor = vmap(one, randomness="different")(self._parameters, self._buffers)
                except torch.OutOfMemoryError:
                    raise
                except Exception:  # noqa: BLE001, recurrent layers and code that looks at values cannot be stacked
                    self._is_stacked = False
            if not self._is_stacked:
                try:
                    output = torch.stack([one(*self._state_of(member)) for member in range(self._members)])
                except torch.OutOfMemoryError:
                    raise
                except FAILURES as error:
                    during = " in training" if training else ""
                    raise TrainingError(
                        f"model {type(self._base).__name__} failed{during} for rows of shape {tuple(X.shape)}: "
                        f"{describe_error(error)}"
                    ) from error
        if output.shape != (expected := (self._members, len(X), self._outputs)):
            raise TrainingError(
                f"model {type(self._base).__name__} returned {tuple(output.shape[1:])} for rows of shape "
                f"{tuple(X.shape)}, not {expected[1:]}"
            )
        return output.float()

    def _state_of(self, member: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Parameters and buffers of one module: views, so that gradients and running means reach the stack."""
        parameters = {name: value[member] for name, value in self._parameters.items()}
        return parameters, {name: value[member] for name, value in self._buffers.items()}

    def parameters(self) -> list[Tensor]:
        """Everything that is learned."""
        return [value for value in self._parameters.values() if value.requires_grad]

    @property
    def noise(self) -> Tensor:
        """Number of batches trained on: the position in the stream of random draws."""
        return torch.tensor(self._calls)

    @noise.setter
    def noise(self, state: Tensor) -> None:
        self._calls = int(state)

    def predict(self, X: Tensor) -> Tensor:
        """Outputs in evaluation mode and without gradients, in blocks, (E, N, outputs)."""
        with torch.no_grad():
            return torch.cat([self(part) for part in torch.split(X, PREDICTED_AT_ONCE)], dim=1)


def _try_out(module: nn.Module, X: Tensor, outputs: int) -> None:
    """Run two forward passes and a backward pass on a few rows; gradients stay."""
    name = f"model {type(module).__name__}"
    module.eval()
    try:
        found = module(X)
        again = module(X)
    except FAILURES as error:
        raise TrainingError(f"{name} failed for rows of shape {tuple(X.shape)}: {describe_error(error)}") from error
    if not isinstance(found, Tensor) or found.shape != (len(X), outputs):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise TrainingError(f"{name} returned {shape} for rows of shape {tuple(X.shape)}, not {(len(X), outputs)}")
    if not bool(found.isfinite().all()):
        raise TrainingError(f"{name} returned a value that is not finite")
    if not torch.allclose(found, again):
        raise TrainingError(f"{name} is not deterministic in evaluation mode")
    if bool((found == found[:1]).all()):
        raise TrainingError(f"{name} predicts the same for every row, so it ignores its input")
    if not found.requires_grad:
        raise TrainingError(f"{name} has no parameters to learn")
    torch.autograd.backward(found.sum())
