"""Files of photographs → pixels → how dark the ink is at each of them, whatever paper and light."""
