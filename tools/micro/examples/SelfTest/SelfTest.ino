// Runs an exported net on the input that export wrote into it, and compares the outputs. Replace net.c and net.h by your own.
#include "net.h"

static uint32_t memory[(net_SCRATCH_BYTES + 3) / 4];
static net_output outputs[net_OUTPUTS];

void setup() {
  Serial.begin(115200);
  sn_micro_run(&net, net_test_input, outputs, memory);
  int different = 0;
  for (int i = 0; i < net_OUTPUTS; i++) {
    float change = (float)outputs[i] - (float)net_test_output[i];
    different += !(change <= net_TEST_TOLERANCE && change >= -net_TEST_TOLERANCE);
  }
  Serial.println(different ? "outputs differ" : "outputs are right");
}

void loop() {}
