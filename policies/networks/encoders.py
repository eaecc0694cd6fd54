"""From views, state and goal to one feature vector per step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from forestpilot.policies.networks.views import OUTSIDE_GREY


class ViewEncoder(nn.Module):
    """A small CNN, shared by the cameras, joined with the scaled state and the goal.

    The first convolution steps 4 pixels sideways and 2 down: trunks are tall and thin, so rows repeat more than
    columns do, yet its 5x5 kernel still sees every pixel.

    Args:
        view_height: rows of a view.
        view_width: columns of a view.
        num_cameras: views per step.
        channels: output channels of the three convolutions.
        num_inputs: elements of state and goal that join the picture.
        features: size of the result.
    """

    def __init__(
        self,
        view_height: int,
        view_width: int,
        num_cameras: int,
        channels: tuple[int, int, int],
        num_inputs: int,
        features: int,
    ) -> None:
        super().__init__()
        first, second, third = channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, first, kernel_size=5, stride=(2, 4), padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, kernel_size=3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, third, kernel_size=3, stride=2, padding=1),
            nn.ReLU(inplace=True),
        )
        with torch.no_grad():
            flat = self.convolutions(torch.zeros(1, 3, view_height, view_width)).numel()
        self.join = nn.Linear(num_cameras * flat + num_inputs, features)

    def forward(self, views: Tensor, inputs: Tensor) -> Tensor:
        """Encode N steps.

        Args:
            views: (N, C, h, w, 3) uint8.
            inputs: (N, I) float32, scaled state and goal.

        Returns:
            (N, features) float32, not negative.
        """
        number, cameras, height, width, _ = views.shape
        # Rows of pixels with colour innermost are PyTorch's channels_last already: this permutation copies nothing.
        images = views.reshape(number * cameras, height, width, 3).permute(0, 3, 1, 2)
        # Grey becomes zero, as the padding is: what the camera did not see looks like what lies beyond the rim.
        # One new tensor, changed in place: at training batches each further one costs as much as a convolution.
        images = images.to(torch.float32, copy=True).sub_(OUTSIDE_GREY).mul_(1 / 64)
        picture = self.convolutions(images).permute(0, 2, 3, 1).reshape(number, -1)
        return torch.relu(self.join(torch.cat((picture, inputs), dim=1)))
