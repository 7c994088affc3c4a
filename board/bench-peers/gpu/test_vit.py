"""The peers' network on the processor. Needs PyTorch: `python -m unittest discover board/bench-peers/gpu`."""

import tempfile
import unittest
from pathlib import Path

try:
    import torch
except ImportError as error:
    raise unittest.SkipTest("PyTorch is not installed") from error

import model
import peers
import vit


class TestVit(unittest.TestCase):
    def setUp(self):
        self.network = vit.randomise(vit.Vit(vit.TINY), 3).eval()
        images = model.smooth_images(4, vit.TINY.image, 1)
        self.pixels = images[..., None].expand(-1, -1, -1, 3).contiguous()
        with torch.inference_mode():
            self.expected = self.network(self.pixels)

    def test_int8_product_is_the_rounded_linear_layer(self):
        linear = torch.nn.Linear(64, 24)
        x = torch.randn(2, 17, 64)
        for scale in (None, float(x.abs().max()) / 127):
            error = (vit.Int8Linear(linear, scale)(x) - linear(x)).abs().max()
            self.assertLess(float(error.detach()), 0.05)
            self.assertGreater(float(error.detach()), 0)

    def test_scales_are_where_the_weights_are(self):
        linear = torch.nn.Linear(64, 24, device="meta")
        self.assertEqual({buffer.device.type for buffer in vit.Int8Linear(linear, 0.1).buffers()}, {"meta"})

    def test_every_peer_answers_like_fp32(self):
        names = []
        for name, construct in peers.peers(self.network, self.pixels, self.pixels, "cpu"):
            if "torchao" in name:
                continue
            peer = construct()
            quality = peers.check(name, peer.logits, self.expected)
            self.assertGreater(quality["signal_to_noise_db"], 20)
            self.assertEqual([len(peer.time(2)), len(peer.device_time(3))], [2, 3])
            names.append(name)
        self.assertEqual(len(names), 4)

    def test_quantizing_replaces_every_layer_of_the_blocks(self):
        self.assertEqual(len(vit.block_linears(self.network)), 4 * vit.TINY.depth)
        quantized = vit.quantize(self.network)
        self.assertEqual(vit.block_linears(quantized), [])

    def test_wrong_answers_are_refused(self):
        wrong = {
            "pytorch fp32 eager": self.expected * 1.01,
            "pytorch fp16 compiled": self.expected.flip(1),
            "pytorch int8 static compiled": self.expected * float("nan"),
            "mergevit r0": self.expected[:, 1:],
        }
        for name, logits in wrong.items():
            with self.assertRaises(peers.WrongAnswer):
                peers.check(name, logits, self.expected)

    def test_safetensors_round_trip(self):
        tensors = {"a": torch.randn(3, 5), "b": torch.arange(7, dtype=torch.uint8)}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.safetensors"
            model.save_safetensors(tensors, path)
            found = model.load_safetensors(path)
        self.assertEqual(list(found), list(tensors))
        for name, tensor in tensors.items():
            self.assertTrue(torch.equal(found[name], tensor))


if __name__ == "__main__":
    unittest.main()
