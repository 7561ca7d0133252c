"""Methods that compare features: L = d(T_t(F_t), T_s(F_s)), four aspects a method, and FSP beside them."""
