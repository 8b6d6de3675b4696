#include "martlet.pb-c.h"
