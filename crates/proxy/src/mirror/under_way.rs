//! The copies that a worker has under way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use plimsoll_config::Mirror;

/// How many copies a worker has under way, by the name of their pool.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(RefCell<HashMap<String, usize>>);

impl UnderWay {
    /// Whether there are as many as may be.
    pub(super) fn is_full(&self, rule: &Mirror) -> bool {
        self.0.borrow().get(&rule.pool).is_some_and(|count| *count >= rule.limit)
    }

    /// Counts one more for as long as the result lives.
    pub(super) fn enter(self: &Rc<Self>, rule: &Mirror) -> Entered {
        *self.0.borrow_mut().entry(rule.pool.clone()).or_default() += 1;
        Entered { under_way: Rc::clone(self), pool: rule.pool.clone() }
    }
}

/// One copy in the count of a worker.
pub(super) struct Entered {
    under_way: Rc<UnderWay>,
    pool: String,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut all = self.under_way.0.borrow_mut();
        if let Some(count) = all.get_mut(&self.pool) {
            *count -= 1;
            if *count == 0 {
                // So what is kept has the bound of what is under way, whatever pools come and go.
                all.remove(&self.pool);
            }
        }
    }
}
