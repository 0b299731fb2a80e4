"""One style of a network as a module of torch."""

import pytest
import torch

from fast_nst.errors import UserError
from fast_nst.networks.styled_network import StyledNetwork
from fast_nst.networks.transformer_net import TransformerNet


def test_without_a_name_the_style_is_the_networks_last():
    network = TransformerNet("fast", 12, styles=["identity", "glass", "waves", "waves@1.5"])
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = StyledNetwork(network, "waves")(images)
        assert torch.equal(StyledNetwork(network)(images), expected)


def test_an_unknown_style_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="glass"):
        StyledNetwork(TransformerNet("fast", 12, styles=["glass"]), "waves")
